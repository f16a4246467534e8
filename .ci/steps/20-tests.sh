# The tests, as README.md runs them.
. ../.ci/lib.sh
needs chromium:chromium chromedriver:chromium-driver

(cd .. && cd backend && PIP_BREAK_SYSTEM_PACKAGES=1 pip install uv && uv run pytest)
