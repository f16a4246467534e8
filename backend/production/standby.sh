#!/bin/sh
# Copy the primary if there is nothing here yet, and follow it.
set -eu
: "${DATABASE_PASSWORD:=$(cat "${DATABASE_PASSWORD_FILE:?or DATABASE_PASSWORD is missing}")}"
export DATABASE_PASSWORD
export PGPASSWORD="$DATABASE_PASSWORD"
until [ -s "$PGDATA/PG_VERSION" ]; do
    rm -rf "$PGDATA" "$PGDATA.new"
    if pg_basebackup --host=db --username="$DATABASE_USERNAME" --pgdata="$PGDATA.new" --checkpoint=fast \
        --write-recovery-conf --slot=standby; then
        mv "$PGDATA.new" "$PGDATA"
    else
        sleep 2
    fi
done
exec postgres -c config_file=/etc/postgresql/shop.conf
