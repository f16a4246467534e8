"""The tests; `uv run pytest` runs them."""

from pathlib import Path

BACKEND = Path(__file__).resolve().parent.parent

# In the container /app is backend/ alone; compose.yml mounts the whole checkout beside it.
ROOT = Path("/checkout") if str(BACKEND) == "/app" else BACKEND.parent
