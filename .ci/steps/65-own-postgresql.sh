# The shop on a PostgreSQL of one's own.
. ../.ci/lib.sh
needs curl:curl
needs_docker
server=
tidy() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    down "$1"
}

docker compose up -d --wait db
cp .env.example .env
echo DATABASE_HOST=localhost >>.env
uv sync
uv run manage.py migrate
DJANGO_SUPERUSER_PASSWORD=secret uv run manage.py createsuperuser --noinput --username staff --email staff@example.com
uv run manage.py load_sample_data
uv run manage.py runserver --noreload &
server=$!
wait_for 120 curl -sf $url/shop/api/products/
uv run python -m tests.support.api_examples $url
uv venv ../venv && VIRTUAL_ENV=$PWD/../venv uv pip install -r requirements.txt && VIRTUAL_ENV=$PWD/../venv uv pip install -e .
