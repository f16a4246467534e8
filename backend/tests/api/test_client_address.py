"""Whose request it is: the proxy's word counts where nothing else can call, and nowhere else."""

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from shop.api.client_address import client_address

PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("", ""),
    ],
)
def test_without_a_proxy_it_is_the_caller(settings: Settings, remote: str, address: str) -> None:
    settings.BEHIND_PROXY = False
    for header in ({}, {"X-Forwarded-For": "203.0.113.9"}):
        request = RequestFactory(REMOTE_ADDR=remote).get("/", headers=header)
        assert client_address(request) == address


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9 ", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        # What the client itself claimed stands in front of what the proxy adds.
        ("1.2.3.4, 203.0.113.9", "203.0.113.9"),
        ("<script>, 203.0.113.9", "203.0.113.9"),
        ("", PROXY),
        ("unknown", PROXY),
        ("203.0.113.9,", PROXY),
        ("203.0.113.9:4711", PROXY),
        ("203.0.113.999", PROXY),
        ("203.0.113.9\0", PROXY),
        ("٢٠٣.٠.١١٣.٩", PROXY),
        ("9" * 10_000, PROXY),
    ],
)
def test_behind_a_proxy_it_is_whom_the_proxy_names(settings: Settings, header: str, address: str) -> None:
    settings.BEHIND_PROXY = True
    request = RequestFactory(REMOTE_ADDR=PROXY).get("/", headers={"X-Forwarded-For": header})
    assert client_address(request) == address


def test_behind_a_proxy_that_says_nothing(settings: Settings) -> None:
    settings.BEHIND_PROXY = True
    assert client_address(RequestFactory(REMOTE_ADDR=PROXY).get("/")) == PROXY
    assert client_address(RequestFactory(REMOTE_ADDR="").get("/")) == ""
