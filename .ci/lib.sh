# What the steps share. Each runs in backend/ of a copy of the checkout of its own, and begins with `. ../.ci/lib.sh`.
set -euo pipefail
export CI=true COMPOSE_PROJECT_NAME=webshop-gate PIP_ROOT_USER_ACTION=ignore
url=http://localhost:8000

fail() {
    echo "gate: $1" >&2
    exit 1
}
needs() { # command:package…; what is missing comes from Debian
    local tool missing=()
    for tool in "$@"; do command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
needs_docker() {
    docker info >/dev/null 2>&1 && return
    [ -x "$CHECKOUT/../shared/docker/setup.sh" ] || fail 'the Docker engine does not run'
    "$CHECKOUT/../shared/docker/setup.sh"
}
wait_for() { # seconds, command…
    local deadline=$((SECONDS + $1))
    until "${@:2}" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || fail "not within $1 s: ${*:2}"
        sleep 0.5
    done
}
answer() { # path, scheme; the status that production gives
    curl -s -o /dev/null -w '%{http_code}' -H 'Host: yourdomain.com' -H "X-Forwarded-Proto: ${2:-https}" "$url$1"
}
down() { # what a step with Docker ends with
    [ "$1" -eq 0 ] || docker compose logs --tail 40 || true
    docker compose down -v >/dev/null 2>&1 || true
}

# A step that leaves something behind defines its own.
tidy() { :; }
trap 'status=$?; trap - EXIT; tidy $status; exit $status' EXIT
