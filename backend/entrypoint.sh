#!/bin/sh
# Bring the database in step with the code, then run the command: in the container, and for quickstart.
set -eu
if [ "${DEBUG:-0}" = 1 ]; then
    export DJANGO_SUPERUSER_USERNAME="${DJANGO_SUPERUSER_USERNAME:-admin}"
    export DJANGO_SUPERUSER_PASSWORD="${DJANGO_SUPERUSER_PASSWORD:-admin123}"
    export DJANGO_SUPERUSER_EMAIL="${DJANGO_SUPERUSER_EMAIL:-admin@example.com}"
fi
python manage.py migrate --noinput
if [ -n "${DJANGO_SUPERUSER_USERNAME:-}" ]; then python manage.py ensure_superuser; fi
if [ "${DEBUG:-0}" = 1 ]; then python manage.py load_sample_data; fi
exec "$@"
