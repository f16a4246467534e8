"""The shop for a server of the tests: it leaves a standby that failed alone for one second, not for five."""

from webshop.wsgi import application  # which sets Django up

# isort: split
from shop.database import standby

standby.PAUSE_SECONDS = 1
__all__ = ["application"]
