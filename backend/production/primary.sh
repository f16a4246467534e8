#!/bin/bash
# Run once, when the database is made: the shop's role, which owns the shop's database and may copy it to a standby.
# The superuser signs in from inside this container alone.
( # the image sources this file
    set -eu
    # Half a database would look like a whole one at the next start.
    trap '[ $? = 0 ] || rm -rf "${PGDATA:?}"/*' EXIT
    if [ -z "$DATABASE_PASSWORD" ]; then DATABASE_PASSWORD=$(cat "${DATABASE_PASSWORD_FILE:?or DATABASE_PASSWORD is missing}"); fi
    export DATABASE_PASSWORD="${DATABASE_PASSWORD:?is empty}"
    psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 --quiet <<'END'
\getenv name DATABASE_USERNAME
\getenv password DATABASE_PASSWORD
\getenv database POSTGRES_DB
CREATE ROLE :"name" LOGIN REPLICATION PASSWORD :'password';
GRANT pg_read_all_stats TO :"name"; -- the endpoints ask the standby how far it is
ALTER DATABASE :"database" OWNER TO :"name";
END
    cat >"$PGDATA/pg_hba.conf" <<END
local all "$POSTGRES_USER" trust
host "$POSTGRES_DB" "$DATABASE_USERNAME" all scram-sha-256
host replication "$DATABASE_USERNAME" all scram-sha-256
END
)
