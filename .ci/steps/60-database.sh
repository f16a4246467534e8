# The database with Docker: backup and restore, stop and go, a larger shop.
. ../.ci/lib.sh
needs curl:curl
needs_docker
tidy() { down "$1"; }

docker compose up -d --wait
rows() { docker compose exec -T db pg_dump -U webshop_user --data-only --restrict-key=gate webshop_db | sort | sha256sum; }
docker compose stop jobs # it writes jobs of its own
before=$(rows)
docker compose exec db pg_dump -U webshop_user webshop_db > backup.sql
docker compose down -v
docker compose up -d --wait db
docker compose exec -T db psql -U webshop_user webshop_db < backup.sql >/dev/null
[ "$before" = "$(rows)" ] || fail 'the restored database differs'
docker compose up -d
docker compose up -d --wait
uv run python -m tests.support.api_examples $url

docker compose restart db
wait_for 120 curl -sf $url/shop/api/products/
docker compose stop
docker compose down
docker compose up -d db
docker compose build web 2>&1 | tee build.log
grep -q CACHED build.log || fail 'the second build does not use the cache'
docker compose run --rm --entrypoint python web manage.py migrate
docker compose up -d --wait web
uv run python -m tests.support.api_examples $url
docker compose exec web python manage.py flush --noinput
docker compose exec web python manage.py load_sample_data --scale 10000
docker compose exec web python manage.py shell -c 'assert Order.objects.count() == 10000'
