"""Why an act of the shop did nothing: a rule forbids it."""

from collections.abc import Mapping
from typing import Any, ClassVar


class Refusal(Exception):  # noqa: N818 - it is no error
    """A rule of the shop stands against an act; what the act began is rolled back.

    `code` is a word for programs, `message` the usual sentence for people. `members` says what `details` has
    by name: a model's field, a Row, an object of these, or one of them in a list for an
    array; an object with `str` for a name has members of any name.
    """

    code: ClassVar[str] = ""
    message: ClassVar[str] = ""
    members: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, message: str = "", **details: Any) -> None:
        super().__init__(message or self.message)
        self.details = details


class MissingError(Refusal):
    """What the act is about is not there, or no more."""


class UnknownAccountError(Refusal):
    """Nobody is shown whose account it is."""


class WrongPasswordError(Refusal):
    """The current password is another one."""

    message = "The current password is wrong"


class ContradictionError(Refusal):
    """Under the same name something else was asked for before."""
