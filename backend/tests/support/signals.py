"""The signals of a job in the foreground, wherever the tests run."""

import signal


def give_children_default_signals() -> None:
    """Let programs that are started from now on be ended by every signal.

    A shell starts a job in the background with SIGINT ignored, nohup with SIGHUP, and its children inherit
    that. This process goes on ignoring them, but by a handler that does nothing, which no child inherits.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
