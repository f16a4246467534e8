#!/bin/sh
# Dumps of the shop's database in pg_dump's custom format, in /var/lib/postgresql.
#   schedule       one every BACKUP_HOURS; the newest BACKUP_KEEP stay (how the container runs)
#   healthy        is none overdue for more than an hour, or one being made?
#   now            one now
#   list           their names
#   restore NAME   one, or the `latest`, into an empty database
set -eu
cd /var/lib/postgresql
if [ -z "$DATABASE_PASSWORD" ]; then DATABASE_PASSWORD=$(cat "${DATABASE_PASSWORD_FILE:?or DATABASE_PASSWORD is missing}"); fi
export PGHOST="$DATABASE_HOST" PGUSER="$DATABASE_USERNAME" PGDATABASE="$DATABASE_NAME" PGPASSWORD="$DATABASE_PASSWORD"

fail() {
    echo "backup: $1" >&2
    exit 1
}
younger_than() { find . -maxdepth 1 -name 'webshop-*.dump' -mmin "-$1" | grep -q .; }
dumps() { find . -maxdepth 1 -name 'webshop-*.dump' | sed 's|^\./||' | sort; }

# So many tables and the like; none in a database that is still to be filled.
relations() { psql -AtqX -c "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace" 2>&1; }

# `web` listens once no migration is missing.
shop_serves() { bash -c ': <>/dev/tcp/web/8000' 2>/dev/null; }

dump() {
    exec 9>lock
    flock 9
    trap 'rm -f unfinished' EXIT
    if ! said=$(pg_dump --format=custom --lock-wait-timeout=60s --file=unfinished 2>&1 &&
        pg_restore --file=/dev/null unfinished 2>&1 && sync unfinished 2>&1); then
        fail "no backup was made, the older ones stay: $(echo "$said" | tr '\n' ' ')"
    fi
    name=webshop-$(date -u +%Y%m%dT%H%M%SZ).dump
    mv unfinished "$name"
    echo "backup: $name, $(stat -c %s "$name") bytes"
    dumps | head -n "-$BACKUP_KEEP" | xargs -r rm -f
}

restore() {
    name=$1
    [ "$name" != latest ] || name=$(dumps | tail -n 1)
    [ -f "$name" ] || fail "there is no backup ${1:-}; there are: $(dumps | tr '\n' ' ')"
    found=$(relations) || fail "the database does not answer: $(echo "$found" | tr '\n' ' ')"
    [ "$found" = 0 ] || fail "the database is not empty: nothing was restored"
    said=$(pg_restore --dbname="$PGDATABASE" --single-transaction --exit-on-error --no-owner "$name" 2>&1) ||
        fail "nothing was restored: $(echo "$said" | tr '\n' ' ')"
    echo "backup: $name is restored"
}

for number in "$BACKUP_HOURS" "$BACKUP_KEEP"; do
    case $number in '' | 0* | *[!0-9]*) fail "BACKUP_HOURS and BACKUP_KEEP must be whole numbers from 1 on, not '$number'" ;; esac
done
case ${1:-} in
schedule)
    until [ -n "$(dumps)" ] || shop_serves; do sleep 2; done
    while true; do
        if ! younger_than $((BACKUP_HOURS * 60)) && [ "$(relations)" != 0 ]; then (dump) || true; fi # the next try comes; `healthy` tells
        sleep 30
    done
    ;;
healthy) younger_than $((BACKUP_HOURS * 60 + 60)) || ! flock --nonblock lock true ;;
now) dump ;;
list) dumps ;;
restore) restore "${2:-}" ;;
*) fail "one of schedule, healthy, now, list, restore NAME, restore latest is expected" ;;
esac
