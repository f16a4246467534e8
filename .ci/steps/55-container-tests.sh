# The quick tests in the container, on the database of Compose. The slow ones start servers of their own.
. ../.ci/lib.sh
needs_docker
tidy() { down "$1"; }

docker compose up -d --wait
docker compose exec web python manage.py test shop -m 'not slow'
docker compose exec web python manage.py test tests/test_docs.py
