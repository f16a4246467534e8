# The image of production by itself.
. ../.ci/lib.sh
needs curl:curl
needs_docker
tidy() { docker rm -f webshop-gate-prod webshop-gate-prod-db >/dev/null 2>&1 || true; }

docker build -t webshop .
docker run -d --name webshop-gate-prod-db -e POSTGRES_USER=webshop_user -e POSTGRES_DB=webshop_db \
    -e POSTGRES_PASSWORD=strong-password postgres:17
wait_for 120 docker exec webshop-gate-prod-db pg_isready -h 127.0.0.1
cat >.env <<END
DEBUG=0
DJANGO_SECRET_KEY=$(head -c 60 /dev/urandom | base64 -w 0)
DJANGO_ALLOWED_HOSTS=yourdomain.com
DJANGO_HTTPS=1
DATABASE_HOST=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' webshop-gate-prod-db)
DATABASE_PASSWORD=strong-password
END
docker run -d -p 8000:8000 --env-file .env webshop >container
docker rename "$(cat container)" webshop-gate-prod
wait_for 120 answer /shop/api/products/
[ "$(answer /shop/api/products/)" = 200 ] || fail 'production does not answer'
[ "$(answer /shop/api/products/ http)" = 301 ] || fail 'production does not redirect to https'
[ "$(answer /shop/api/customer-stats/)" = 401 ] || fail 'production shows customers'
[ "$(answer /static/admin/css/base.css)" = 200 ] || fail 'the admin is not styled'
[ "$(docker exec webshop-gate-prod id -u)" = 10001 ] || fail 'production runs as another user'
docker exec webshop-gate-prod python -c 'from importlib.util import find_spec; assert not find_spec("faker")'
docker stop webshop-gate-prod >/dev/null
refusal=$(docker run --rm webshop 2>&1) && fail 'production starts without a secret'
expected='manage.py: DJANGO_SECRET_KEY is missing or a placeholder: set a long random one, or DEBUG=1 to develop'
[ "$refusal" = "$expected" ] || fail "a missing secret is not one line: $refusal"
