"""Which addresses a picture may be fetched from: those of the public internet, or of one's own network too."""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
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
# Where clouds keep the secrets of their machines, by the clouds' own manuals; closed whatever is allowed. Some lie in
# private networks, some at addresses that look public; the others are link-local.
_METADATA = [
    ipaddress.ip_network(block)
    for block in (
        "168.63.129.16/32",  # Azure's wire server
        "169.254.0.0/16",  # link-local: most clouds (.169.254), AWS containers (.170.2, .170.23), Tencent (.0.23)
        "192.0.0.192/32",  # Oracle, classic
        "192.80.8.124/32",  # Equinix Metal
        "100.100.0.0/16",  # Alibaba's services, metadata at 100.100.100.200
        "fd00:ec2::/32",  # AWS: metadata at ::254, pod identities at ::23
        "fd20:ce::/32",  # Google, metadata at ::254
        "fd00:42::42/128",  # Scaleway
        "fd00:a9fe:a9fe::/48",  # Linode
        "fe80::/10",  # link-local: OpenStack at fe80::a9fe:a9fe
    )
]
# Loopback, mapped and compatible IPv4, NAT64 (64:ff9b::/96, 64:ff9b:1::/48), unique local, link-local and multicast
# addresses are all outside of it.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_OWN = [
    ipaddress.ip_network(block)
    for block in (
        "10.0.0.0/8",
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
    return not (_within(address, _SPECIAL) or is_metadata(address))


def is_own(address: Address) -> bool:
    """Whether it is this machine's or a private network's (RFC 1918, RFC 4193), and no cloud's metadata.

    Carriers' NAT (RFC 6598) is neither: who is there is chosen by the provider, whose own services use it too.
    """
    return _within(address, _OWN) and not is_metadata(address)


def is_metadata(address: Address) -> bool:
    """Whether a cloud answers there with secrets of its machines, or a NAT64 gateway would ask such an address.

    A network may translate under any prefix of its own, and the last 32 bits are then the address (RFC 6052).
    """
    if _within(address, _METADATA):
        return True
    return address.version == 6 and _within(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF), _METADATA)


def _within(address: Address, blocks: Sequence[Network]) -> bool:
    return any(address in block for block in blocks if block.version == address.version)


def resolve(host: str) -> list[str]:
    """All addresses of a host as the machine's resolver knows them. Raises OSError."""
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in answers))


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
