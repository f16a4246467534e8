"""How gunicorn serves the shop in production; it reads this file by itself."""

import gc

bind = "0.0.0.0:8000"
workers = 3
# The application is loaded once, before the workers are forked: a bad setting ends the start with one line.
preload_app = True
accesslog = "-"
# Nobody drives it at run time; its socket would need a home directory.
control_socket_disable = True


def when_ready(_: object) -> None:
    """Take what is loaded so far out of the garbage collector's hands: it stays, and workers share it."""
    gc.freeze()
