# The shop without Docker.
. ../.ci/lib.sh
needs curl:curl

(cd .. && cd backend && PIP_BREAK_SYSTEM_PACKAGES=1 pip install uv && uv run manage.py quickstart) &
quickstart=$!
stop() { # the subshell is gone with a signal to it; the shop with one to the process below it
    pkill -TERM -P "$quickstart"
    wait "$quickstart"
}
tidy() { stop || true; }
wait_for 120 curl -sf $url/shop/api/products/
uv run python -m tests.support.api_examples $url
uv run manage.py shell -c 'assert Order.objects.count() == 300'
sh ../docs/sell.sh
uv run manage.py shell -c 'assert Order.objects.filter(status="shipped", delivery__carrier="DHL").count() == 1'
uv run manage.py check_shop
uv run manage.py ensure_roles
DJANGO_SUPERUSER_PASSWORD=secret uv run manage.py createsuperuser --noinput --username staff --email staff@example.com
uv run manage.py showmigrations
curl -sf $url/admin/login/ | grep Webshop >/dev/null
stop || fail 'quickstart did not end well'
[ ! -e .postgres/env ] || fail 'quickstart left its env file behind'

SHOP_PAYMENT="test" uv run manage.py quickstart >pay.log &
quickstart=$!
wait_for 120 curl -sf $url/shop/api/products/
sh ../docs/pay.sh
sent() { uv run manage.py shell -c "assert Mail.objects.filter(sent_at__isnull=False, kind='$1').exists()"; }
wait_for 120 sent shipped
grep -q '^Subject: Your order' pay.log || fail 'the worker printed no mail'
uv run manage.py check_shop
stop || fail 'quickstart did not end well'
