"""Whose request it is, by address."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the IP address of the client: behind a proxy the last one of X-Forwarded-For, else the caller's.

    Without a valid one in the header it is the caller's, which is empty on a Unix socket.
    """
    caller = str(request.META.get("REMOTE_ADDR", ""))
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.BEHIND_PROXY else ""
    for text in (forwarded.rpartition(",")[2].strip(), caller):
        try:
            return str(unmapped(ip_address(text)))
        except ValueError:
            continue
    return caller


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address of a caller who reached an IPv6 socket by it."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def network_of(address: str) -> str:
    """Return what one client has for itself: the address, or in IPv6 its /64."""
    with suppress(ValueError):
        if isinstance(parsed := ip_address(address), IPv6Address):
            return str(IPv6Address(int(parsed) >> 64 << 64))
    return address
