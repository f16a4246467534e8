# What breaks in the production stack, and what its clients notice.
. ../.ci/lib.sh
needs chromium:chromium chromedriver:chromium-driver openssl:openssl
needs_docker

uv run pytest -m docker
