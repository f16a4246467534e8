"""The kinds of query parameters: what each takes, and what is a 400."""

from datetime import date
from decimal import Decimal

import pytest
from django.http import QueryDict

from shop.api.errors import ApiError
from shop.api.query import Amount, Choice, Day, Id, Number, QueryParameter, Text, parse_query

KINDS: dict[str, QueryParameter] = {
    "number": Number(range(1, 11)),
    "id": Id(),
    "text": Text(5),
    "choice": Choice(["a", "b"]),
    "several": Choice(["a", "b"], repeatable=True),
    "amount": Amount(),
    "day": Day(),
}

GOOD = [
    ("number", "1", 1),
    ("number", "010", 10),
    ("id", "0", 0),
    ("id", "00007", 7),
    ("id", str(2**63 - 1), 2**63 - 1),
    ("id", "9" * 100, 2**63 - 1),
    ("text", "x", "x"),
    ("text", "Tür 💡", "Tür 💡"),
    ("text", "     ", "     "),
    ("text", "'; --", "'; --"),
    ("choice", "b", "b"),
    ("several", "b", ["b"]),
    ("amount", "10", Decimal(10)),
    ("amount", "10.00", Decimal(10)),
    ("amount", "0", Decimal(0)),
    ("amount", "9" * 17 + ".99", Decimal("9" * 17 + ".99")),
    ("day", "2025-11-26", date(2025, 11, 26)),
    ("day", "2024-02-29", date(2024, 2, 29)),
    ("day", "0001-01-01", date.min),
    ("day", "9999-12-31", date.max),
]

BAD = [
    *(("number", text) for text in ("0", "11", "1.0", "1e0", "+1", " 1", "1 ", "٣", "one", "9" * 5000)),
    *(("id", text) for text in ("-1", "1.5", "x", "٣", " 1", "1\n", "9" * 101)),
    *(("text", text) for text in ("toolong", "a\0b")),
    *(("choice", text) for text in ("c", "A", "a,b", " a")),
    *(("several", text) for text in ("c", "a,b")),
    *(("amount", text) for text in ("1.5", "1,50", "-1", "1.000", ".50", "1.", "1e2", "NaN", "9" * 18, "٣")),
    *(
        ("day", text)
        for text in (
            *("2025-02-30", "2025-13-01", "0000-01-01", "10000-01-01", "2025-1-1", "20251126", "26.11.2025"),
            *("2025-11-26T00:00:00", "2025-W48-3", "2025-11-26\n", "yesterday", "٢٠٢٥-11-26", "today"),
        )
    ),
]


def test_what_is_taken() -> None:
    for name, text, value in GOOD:
        query = QueryDict(mutable=True)
        query[name] = text
        found = parse_query(query, KINDS)
        assert found == {name: value}, text
        assert type(found[name]) is type(value), (name, text)


def refusal(name: str, text: str) -> tuple[int, str]:
    query = QueryDict(mutable=True)
    query[name] = text
    try:
        return 200, str(parse_query(query, KINDS))
    except ApiError as error:
        return error.status, error.message


def test_what_is_refused() -> None:
    known = (
        "number (1 to 10), id (an id), text (1 to 5 characters), choice (a, b), several (a, b), "
        "amount (such as 10 or 10.00), day (YYYY-MM-DD)"
    )
    for name, text in [*BAD, *((name, "") for name in KINDS)]:
        assert refusal(name, text) == (400, f"Unknown or bad parameter '{name}'; known: {known}"), text


def test_one_that_is_repeatable_has_several_values() -> None:
    assert parse_query(QueryDict("several=b&several=a&several=b"), KINDS) == {"several": ["b", "a", "b"]}
    with pytest.raises(ApiError):
        parse_query(QueryDict("several=b&several=c"), KINDS)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "several"])
def test_the_others_are_there_once(name: str) -> None:
    good = next(text for other, text, _ in GOOD if other == name)
    query = QueryDict(mutable=True)
    query.setlist(name, [good, good])
    with pytest.raises(ApiError):
        parse_query(query, KINDS)


@pytest.mark.parametrize("query", ["other=1", "Id=1", "id[]=1", "=1", "id", " id=1", "day=2025-11-26&x"])
def test_what_is_unknown_is_refused(query: str) -> None:
    with pytest.raises(ApiError):
        parse_query(QueryDict(query), KINDS)


def test_of_nothing_there_is_nothing() -> None:
    assert parse_query(QueryDict("&&"), KINDS) == {}
    with pytest.raises(ApiError, match="known: none"):
        parse_query(QueryDict("a=1"), {})
