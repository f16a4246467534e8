#!/bin/sh
# Start nginx, with TLS if there is a certificate, and have it look again when the replicas of `web` change:
# nginx before 1.27 asks for their addresses at its start alone.
set -eu
certificate=/run/secrets/tls_certificate
key=/run/secrets/tls_key
configuration=/tmp/nginx.conf

case ${SHOP_RATE_LIMIT:=100} in
0* | *[!0-9]*)
    echo "nginx.sh: SHOP_RATE_LIMIT must be a whole number from 1 on, not '$SHOP_RATE_LIMIT'" >&2
    exit 1
    ;;
esac
export SHOP_RATE_LIMIT
# shellcheck disable=SC2016 # envsubst wants the names, not the values
envsubst '$SHOP_RATE_LIMIT' </etc/nginx/shop.conf >"$configuration"
: >/tmp/tls.conf
for file in "$certificate" "$key"; do
    [ -r "$file" ] || { echo "nginx.sh: $(id -un) cannot read the file of TLS_CERTIFICATE or TLS_KEY" >&2 && exit 1; }
done
if grep -q "BEGIN CERTIFICATE" "$certificate"; then
    cat >/tmp/tls.conf <<END
listen 8443 ssl backlog=2048;
http2 on;
ssl_certificate $certificate;
ssl_certificate_key $key;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_session_cache shared:tls:10m;
END
fi

addresses() { getent ahostsv4 web | cut -d ' ' -f 1 | sort -u; }
reload_on_change() {
    known=$1
    while sleep 1; do
        found=$(addresses)
        if [ -n "$found" ] && [ "$found" != "$known" ] && nginx -c "$configuration" -s reload; then known=$found; fi
    done
}

until started_with=$(addresses) && [ -n "$started_with" ]; do sleep 1; done
reload_on_change "$started_with" &
exec nginx -c "$configuration" -g 'daemon off;'
