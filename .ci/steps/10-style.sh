# Style, types, drift.
. ../.ci/lib.sh
needs shellcheck:shellcheck git:git

shellcheck -x -s bash ../.ci/run ../.ci/steps/*.sh
shellcheck entrypoint.sh production/*.sh ../docs/sell.sh ../docs/pay.sh
uv run ruff format --check .
uv run ruff check .
uv run mypy .
uv lock --check
uv lock --upgrade --dry-run
cp requirements.txt requirements.committed
uv export --frozen --no-dev --output-file requirements.txt >/dev/null
cmp requirements.txt requirements.committed
DEBUG=1 uv run manage.py makemigrations --check
DJANGO_SECRET_KEY=$(head -c 40 /dev/urandom | base64) DJANGO_ALLOWED_HOSTS=yourdomain.com DJANGO_HTTPS=1 \
    uv run manage.py check --deploy --fail-level WARNING
