# The tests in the container, on the database of Compose.
. ../.ci/lib.sh
needs_docker
tidy() { down "$1"; }

docker compose up -d --wait
docker compose exec web python manage.py test shop
docker compose exec web python manage.py test tests/test_docs.py
