#!/bin/bash
# Run once, when the database is made: the shop's role, which owns the shop's database and nothing else, and a slot
# for the standby. The superuser signs in from inside this container alone.
( # the image sources this file
    set -eu
    : "${DATABASE_PASSWORD:=$(cat "${DATABASE_PASSWORD_FILE:?or DATABASE_PASSWORD is missing}")}"
    export DATABASE_PASSWORD
    psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 --quiet <<'END'
\getenv name DATABASE_USERNAME
\getenv password DATABASE_PASSWORD
\getenv database POSTGRES_DB
CREATE ROLE :"name" LOGIN REPLICATION PASSWORD :'password';
GRANT pg_read_all_stats TO :"name"; -- the endpoints ask the standby how far it is
ALTER DATABASE :"database" OWNER TO :"name";
SELECT pg_create_physical_replication_slot('standby');
END
    cat >"$PGDATA/pg_hba.conf" <<END
local all "$POSTGRES_USER" trust
host "$POSTGRES_DB" "$DATABASE_USERNAME" all scram-sha-256
host replication "$DATABASE_USERNAME" all scram-sha-256
END
)
