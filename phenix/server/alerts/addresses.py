"""Which addresses messages may be sent to: public ones, and what a setting names.

A name is resolved once, every address it has is judged, and the connection is made to one of these very addresses, so
that a name which points elsewhere a moment later leads nowhere else.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from phenix.server.alerts.threads import Threads

__all__ = [
    "Allowed", "RefusedError", "check", "is_literal", "is_name", "is_public", "parse_allowed", "resolve",
]  # fmt: skip

_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that is routed; what is left out of it carries an IPv4 address inside, or is for documents and tests."""
_NOT_ROUTED: Final = tuple(
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)  # fmt: skip
_NOT_FOR_ALL: Final = tuple(IPv4Network(text) for text in ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24"))
"""Public by their range or to some Pythons, but a cloud's own (Azure's, and metadata at 192.0.0.192) or relays."""
_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*")
_NUMBER_LAST: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")


class RefusedError(Exception):
    """An address that nothing is sent to; the message names no address, for whoever asked may not know it."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be sent to beside public addresses: hosts by name, and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def allows(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether an address lies in one of the networks."""
        return any(address in network for network in self.networks)


def parse_allowed(text: str) -> Allowed:
    """``hooks.internal, 10.1.0.0/16, ::1`` as what may be sent to. Raises ValueError."""
    hosts, networks = set(), []
    for part in filter(None, (part.strip().lower() for part in text.split(","))):
        try:
            networks.append(ip_network(part))
        except ValueError:
            if not is_name(part):
                raise ValueError("hosts and networks separated by commas, such as hooks.internal,10.1.0.0/16") from None
            hosts.add(part)
    return Allowed(frozenset(hosts), tuple(networks))


def is_literal(host: str) -> bool:
    """Whether a host is an address in full."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_name(host: str) -> bool:
    """Whether a host in lower case is a name: one whose last label is a number is read as an address by many."""
    name = host.removesuffix(".")
    return bool(_NAME.fullmatch(name)) and not _NUMBER_LAST.fullmatch(name)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the public internet, and carries no other inside."""
    if isinstance(address, IPv6Address):
        return address in _UNICAST and not any(address in network for network in _NOT_ROUTED)
    special = any(address in network for network in _NOT_FOR_ALL)
    return address.is_global and not (address.is_multicast or address.is_reserved or special)


def check(host: str, addresses: Iterable[str], allowed: Allowed) -> list[str]:
    """The addresses of a host, each judged. Raises RefusedError when any of them is refused, or there is none."""
    found = list(dict.fromkeys(addresses))
    if not found:
        raise RefusedError("its name has no address")
    if host.lower().rstrip(".") in allowed.hosts:
        return found
    for text in found:
        try:
            address = ip_address(text)  # one with a zone is of a link, and IPv6 carries what it wraps
        except ValueError:
            raise RefusedError("its address cannot be read") from None
        if not (is_public(address) or allowed.allows(address)):
            raise RefusedError("its address is not public, and PHENIX_ALERT_ALLOW names neither it nor its host")
    return found


async def resolve(host: str, port: int, allowed: Allowed) -> list[str]:
    """The addresses of a host that may be connected to. Raises RefusedError, and OSError for an unknown host.

    Who asks for what is being looked up waits for the same answer, so that a name that hangs holds one thread only.
    """
    look_up = _under_way.get((host, port))
    if look_up is None:
        look_up = _under_way[host, port] = _LOOK_UPS.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        look_up.add_done_callback(lambda _: _under_way.pop((host, port)))
    try:
        found = await asyncio.wrap_future(look_up)
    except UnicodeError:
        raise RefusedError("its name is none that can be looked up") from None
    return check(host, [str(info[4][0]) for info in found], allowed)


_LOOK_UPS: Final = Threads(8, "phenix-names")
_under_way: Final[dict[tuple[str, int], Future[list[Any]]]] = {}
