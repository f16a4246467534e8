# The document and the shop from outside: a client made of it buys, and schemathesis finds nothing.
. ../.ci/lib.sh
needs curl:curl

# Of its own, as schemathesis is a plugin of pytest too.
export UV_PROJECT_ENVIRONMENT=$PWD/../venv
uv sync --group contract
uv run manage.py quickstart 8001 &
quickstart=$! gunicorn=
tidy() {
    # shellcheck disable=SC2086 # perhaps there is no gunicorn yet
    kill $gunicorn "$quickstart" || true
    wait || true
}
wait_for 120 curl -sf http://localhost:8001/shop/api/products/

# As in production, on that database, but that nobody asks too often, and that passwords are quick to check.
set -a
# shellcheck source=/dev/null
. .postgres/env
set +a
export DEBUG=0 DJANGO_SECRET_KEY=of-the-gate DJANGO_ALLOWED_HOSTS=localhost SHOP_RATE_LIMITS=off
export DJANGO_SETTINGS_MODULE=tests.support.cheap_hash
DJANGO_SUPERUSER_PASSWORD=secret uv run manage.py createsuperuser --noinput --username staff --email staff@example.com
uv run gunicorn webshop.wsgi --bind 127.0.0.1:8000 >gunicorn.log &
gunicorn=$!
wait_for 120 curl -sf $url/shop/api/products/

export PYTHONPATH=$PWD/../client MYPYPATH=$PWD/../client
mkdir ../client
PATH=$UV_PROJECT_ENVIRONMENT/bin:$PATH openapi-python-client generate --path ../docs/openapi.json \
    --output-path ../client/shop_client --meta none --fail-on-warning
uv run mypy --follow-imports silent tests/contract/*.py
uv run python -m tests.contract.buyer $url
(cd tests/contract && uv run st run $url/shop/api/openapi.json --url $url)
uv run manage.py check_shop
if grep '"status": 5' gunicorn.log; then fail 'the shop failed'; fi
