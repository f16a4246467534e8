#!/bin/sh
# Copy the primary if there is nothing here yet, and follow it.
set -eu
if [ -z "$DATABASE_PASSWORD" ]; then DATABASE_PASSWORD=$(cat "${DATABASE_PASSWORD_FILE:?or DATABASE_PASSWORD is missing}"); fi
export PGPASSWORD="${DATABASE_PASSWORD:?is empty}" PGHOST=db PGUSER="$DATABASE_USERNAME" PGDATABASE="$DATABASE_NAME"
until [ -s "$PGDATA/PG_VERSION" ]; do
    rm -rf "$PGDATA" "$PGDATA.new"
    # The slot of an earlier copy may have been given up: that one keeps nothing for a new copy.
    if psql -qAtX -c "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'standby'" &&
        pg_basebackup --pgdata="$PGDATA.new" --checkpoint=fast --write-recovery-conf --create-slot --slot=standby; then
        mv "$PGDATA.new" "$PGDATA"
    else
        sleep 2
    fi
done
exec postgres -c config_file=/etc/postgresql/shop.conf
