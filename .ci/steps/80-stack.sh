# The production stack on one machine and on a Swarm, as docs/DEPLOYMENT.md has it.
. ../.ci/lib.sh
needs curl:curl openssl:openssl
needs_docker
leave_swarm() {
    docker stack rm shop >/dev/null 2>&1 || return 0
    while docker ps -aq --filter name=shop_ | grep -q .; do sleep 1; done
    docker swarm leave --force >/dev/null
    docker volume ls -q --filter name=shop_ | xargs -r docker volume rm >/dev/null
}
tidy() {
    down "$1"
    leave_swarm
}

mkdir -m 700 tls
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=yourdomain.com -addext subjectAltName=DNS:yourdomain.com \
    -keyout tls/key.pem -out tls/fullchain.pem 2>/dev/null
chmod 644 tls/key.pem
awk '/^```env/ {on = !seen++; next} /^```/ {on = 0} on' ../docs/DEPLOYMENT.md |
    sed "s|<secret>|$(openssl rand -hex 32)|; s|<another secret>|$(openssl rand -hex 32)|; s|/path/to|$PWD/tls|" >.env
printf '%s\n' SHOP_HTTP_PORT=8000 SHOP_HTTPS_PORT=8443 >>.env
export COMPOSE_PROJECT_NAME=shop
https() { curl -s --cacert tls/fullchain.pem --connect-to yourdomain.com:443:127.0.0.1:8443 "https://yourdomain.com$1" "${@:2}"; }
serves() { [ "$(https /shop/api/products/?limit=1 -o /dev/null -w '%{http_code}')" = 200 ]; }
docker compose up -d --build
wait_for 180 serves
docker compose ps
[ "$(answer /shop/api/products/)" = 301 ] || fail 'http does not lead to https'
[ "$(https /shop/api/customer-stats/ -o /dev/null -w '%{http_code}')" = 401 ] || fail 'production shows customers'
docker compose exec web python manage.py ensure_roles
docker compose run --rm --entrypoint python migrate manage.py check --deploy --fail-level WARNING --database default --database replica
docker compose exec -T db psql -qU postgres webshop_db <../02_insert_sample_data.sql
rows() { docker compose exec -T db pg_dump -U postgres --data-only --restrict-key=gate webshop_db | sort | sha256sum; }
docker compose stop jobs # it writes jobs of its own
before=$(rows)
docker compose exec nginx curl -s http://web:8000/metrics | grep 'shop_database_up 1'
docker compose exec backup sh /backup.sh now
docker compose exec backup sh /backup.sh list
docker compose cp backup:/var/lib/postgresql/. backups
ls backups/webshop-*.dump
docker compose stop web jobs db db-replica
docker compose rm -f db db-replica
docker volume rm shop_db shop_db_replica
docker compose up -d --wait db
docker compose exec backup sh /backup.sh restore latest
[ "$before" = "$(rows)" ] || fail 'the restored database differs'
docker compose up -d
wait_for 180 serves
docker compose exec web python manage.py check_shop
docker compose exec db psql -U postgres -c "ALTER ROLE webshop_user PASSWORD '<new secret>'"
docker compose down -v

docker swarm init --advertise-addr 127.0.0.1
sh -c 'set -a && . ./.env && docker stack deploy -c compose.prod.yml shop'
wait_for 180 serves
docker stack services shop
docker service update --force --detach shop_migrate
docker service update --force shop_web --update-delay 0s --update-monitor 2s
docker service update --force shop_jobs --update-monitor 2s
serves || fail 'it does not serve after an update'
