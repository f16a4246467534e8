# The benchmark runs; its figures are of no use here.
. ../.ci/lib.sh
needs wrk:wrk

uv run --group benchmark python -m benchmarks --quick
uv run --group benchmark python -m benchmarks.jobs --quick
