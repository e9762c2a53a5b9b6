"""Which addresses a picture may be fetched from: those of the public internet, or of one's own network too."""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Allowed = Callable[[Address], bool]
Resolve = Callable[[str], Sequence[str]]
"""All addresses of a host, as text. Raises OSError."""

# IANA's special-purpose registries of IPv4 and IPv6 addresses (RFC 6890 and its updates): what is not globally
# reachable, and what wraps another address. `ipaddress.is_global` knew some of these wrongly before Python 3.11.10.
_SPECIAL = [
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8",  # this network, unspecified
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carriers' NAT
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's metadata, at an address that looks public
        "169.254.0.0/16",  # link-local, most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
]
# Loopback, mapped and compatible IPv4, NAT64 (64:ff9b::/96, 64:ff9b:1::/48), unique local, link-local and multicast
# addresses are all outside of it.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_OWN = [
    ipaddress.ip_network(block)
    for block in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    )
]
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def is_public(address: Address) -> bool:
    """Whether it is globally reachable, and is what it seems: nothing that leads to another address."""
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return False
    return not any(address in block for block in _SPECIAL if block.version == address.version)


def is_own(address: Address) -> bool:
    """Whether it is this machine's or a private network's. Link-local ones, where clouds keep secrets, are not."""
    return any(address in block for block in _OWN if block.version == address.version)


def resolve(host: str) -> list[str]:
    """All addresses of a host as the machine's resolver knows them. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_host(name: str) -> bool:
    """Whether a lowercase ASCII name is a plain IP address or a domain name, and not an IP address in disguise.

    The C library reads `127.1`, `0x7f.0.0.1`, `017700000001` and `2130706433` as addresses: a name whose last label
    is a number is refused unless it is four decimal ones.
    """
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        labels = name.split(".")
        plain = len(name) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
        return plain and not _NUMBER.fullmatch(labels[-1])
    return getattr(address, "scope_id", None) is None
