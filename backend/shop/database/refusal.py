"""Why an act of the shop did nothing: a rule forbids it."""

from typing import Any


class Refusal(Exception):  # noqa: N818 - it is no error
    """A rule of the shop stands against an act; what the act began is rolled back.

    `code` is a word for programs, the message a sentence for people, `details` what else helps.
    """

    code = ""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class MissingError(Refusal):
    """What the act is about is not there, or no more."""


class WrongPasswordError(Refusal):
    """The current password is another one."""

    def __init__(self) -> None:
        super().__init__("The current password is wrong")
