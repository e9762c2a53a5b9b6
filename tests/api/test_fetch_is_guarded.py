"""A URL that a stranger wrote leads to a picture on the public internet within limits, or to an error that says why.

127.0.0.2 plays the public internet here, 127.0.0.1 the machine's own services.
"""

import ipaddress
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import trustme
from hostile_web import PICTURE, hostile_web
from hypothesis import given
from hypothesis import strategies as st

from tenshot.api.fetching.addresses import is_host, is_own, is_public
from tenshot.api.fetching.fetch import BadUrl, Fetcher, FetchError, TooLarge
from tenshot.embeddings.pictures.images import EmptyImage, UnsupportedFormat

PUBLIC, OWN = "127.0.0.2", "127.0.0.1"
# One case a word: as a list this would be forty lines.
NOT_PUBLIC = """0.0.0.0 0.1.2.3 10.1.2.3 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16
    169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255
    198.51.100.1 203.0.113.7 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 ::8.8.8.8 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::a00:1
    100::1 2001::1 2001:0:7f00:1:: 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808:: 3fff::1 5f00::1
    fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 ffff::1"""
REALLY_PUBLIC = """1.1.1.1 8.8.8.8 93.184.216.34 172.15.0.1 172.32.0.1 223.255.255.1
    2606:4700::1111 2a00:1450::8a"""


@dataclass
class Names:
    """A resolver, and how often it was asked for each name; a name with several lines gives the next each time."""

    known: dict[str, list[Sequence[str]]]
    asked: list[str]

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        if host not in self.known:
            raise OSError("no such name")
        lines = self.known[host]
        return lines.pop(0) if len(lines) > 1 else lines[0]


@dataclass(frozen=True)
class World:
    fetcher: Fetcher
    names: Names
    port: int
    """Of the web at the public address."""
    seen: list[tuple[str, dict[str, str]]]
    own_port: int
    own_seen: list[tuple[str, dict[str, str]]]

    def fetch(self, path: str = "/", host: str = "pictures.example", **changed: Any) -> bytes:
        return replace(self.fetcher, **changed).fetch(f"http://{host}:{self.port}{path}")


@pytest.fixture(scope="module")
def webs() -> Iterator[tuple[Any, Any]]:
    with hostile_web(PUBLIC) as public, hostile_web(OWN) as own:
        yield public, own


@pytest.fixture
def world(webs: tuple[Any, Any]) -> World:
    (port, seen), (own_port, own_seen) = webs
    seen.clear()
    own_seen.clear()
    names = Names({"pictures.example": [[PUBLIC]], "inside.example": [[OWN]], "both.example": [[PUBLIC, OWN]]}, [])
    fetcher = Fetcher(resolve=names, is_public=lambda address: str(address) == PUBLIC, most_bytes=1 << 20, seconds=20)
    return World(fetcher, names, port, seen, own_port, own_seen)


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_an_address_that_is_not_global_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", REALLY_PUBLIC.split())
def test_a_global_address_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert not is_own(ipaddress.ip_address(address))


@given(st.ip_addresses())
def test_what_python_knows_to_be_private_is_never_public(address: Any) -> None:
    bad = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    if bad or address.is_unspecified:
        assert not is_public(address)
    assert not (is_public(address) and is_own(address))


# AWS, Google, Azure, Alibaba, Oracle, Tencent, OpenStack, Scaleway, Linode, Equinix; then mapped and translated forms.
METADATA = """169.254.169.254 169.254.170.2 169.254.170.23 169.254.0.23 fd00:ec2::254 fd00:ec2::23 fd20:ce::254
    168.63.129.16 100.100.100.200 192.0.0.192 fd00:c1::a9fe:a9fe fe80::a9fe:a9fe fd00:42::42 fd00:a9fe:a9fe::1
    192.80.8.124 ::ffff:169.254.169.254 ::ffff:100.100.100.200 64:ff9b::a9fe:a9fe 64:ff9b:1::a9fe:a9fe
    fd12:3456::a9fe:a9fe 2606:4700::a9fe:a9fe fd12:3456::6464:64c8 ::169.254.169.254 2002:a9fe:a9fe::1"""
NOBODYS = "fe80::1 0.0.0.0 :: 224.0.0.1 255.255.255.255 100.64.0.1 100.127.255.254 fec0::1 ff02::1"


@pytest.mark.parametrize("address", [*METADATA.split(), *NOBODYS.split()])
def test_metadata_and_what_is_nobody_s_stay_closed_even_with_private_urls_allowed(world: World, address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(BadUrl, match="not at a public address"):
        Fetcher(allow_private=True).fetch(f"http://{host}/")
    world.names.known["metadata.example"] = [[OWN, address]]
    with pytest.raises(BadUrl, match="not at a public address"):
        world.fetch(host="metadata.example", allow_private=True)


def test_a_picture_is_fetched_with_nothing_but_the_request(world: World) -> None:
    assert world.fetch("/picture?size=1") == PICTURE
    [(path, headers)] = world.seen
    assert path == "/picture?size=1"
    assert headers.keys() == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}
    assert headers["Host"] == f"pictures.example:{world.port}"


def test_a_host_is_refused_unless_each_of_its_addresses_is_public(world: World) -> None:
    for host in ("inside.example", "both.example", OWN, "[::1]", "[::ffff:127.0.0.1]"):
        with pytest.raises(BadUrl, match="not at a public address"):
            world.fetch(host=host)
    assert world.seen == world.own_seen == []


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "172.16.0.1", "192.168.1.1", "::1", "fc00::1", "fd12::5"])
def test_loopback_and_private_networks_are_one_s_own(address: str) -> None:
    assert is_own(ipaddress.ip_address(address))


def test_private_addresses_are_reached_where_that_is_allowed(world: World) -> None:
    assert world.fetch(host="both.example", allow_private=True) == PICTURE


def test_the_real_resolver_s_loopback_is_refused_by_default(world: World) -> None:
    for host in ("localhost", "localhost.", "127.0.0.1"):
        with pytest.raises(BadUrl):
            Fetcher().fetch(f"http://{host}:{world.own_port}/")
    assert world.own_seen == []


def test_a_machine_s_own_public_address_is_refused(world: World, webs: Any) -> None:
    """The loopback at its own address stands for it: both ends of the connection are the same."""
    with pytest.raises(BadUrl, match="machine"):
        replace(world.fetcher, is_public=lambda _: True).fetch(f"http://127.0.0.1:{world.own_port}/")
    assert world.own_seen == []


def test_a_name_is_resolved_once_so_that_rebinding_changes_nothing(world: World) -> None:
    world.names.known["rebinding.example"] = [[PUBLIC], [OWN]]
    assert world.fetch(host="rebinding.example") == PICTURE
    assert world.names.asked == ["rebinding.example"]


def test_each_redirect_is_checked_anew(world: World) -> None:
    assert world.fetch("/away?/picture") == PICTURE
    world.names.known["rebinding.example"] = [[PUBLIC], [OWN]]
    to = (
        f"http://127.0.0.1:{world.own_port}/picture",
        f"//127.0.0.1:{world.own_port}/picture",
        f"http://inside.example:{world.own_port}/picture",
        f"http://[::1]:{world.own_port}/picture",
        "file:///etc/passwd",
        "gopher://pictures.example/",
        f"http://user:secret@pictures.example:{world.port}/picture",
        f"http://2130706433:{world.own_port}/picture",
        "http://pictures.example:22/",
        "http://[",
    )
    for target in to:
        with pytest.raises(BadUrl):
            world.fetch(f"/away?{target}")
    with pytest.raises(BadUrl):
        world.fetch(f"/away?http://rebinding.example:{world.own_port}/", host="rebinding.example")
    assert world.own_seen == []


def test_cookies_and_secrets_are_not_carried_along_redirects(world: World) -> None:
    world.fetch("/away?/picture")
    assert {name for _, headers in world.seen for name in headers}.isdisjoint({"Cookie", "Referer", "Authorization"})


def test_redirects_are_few(world: World) -> None:
    with pytest.raises(FetchError, match="more than 5 times"):
        world.fetch("/loop")
    assert len(world.seen) == 6


@pytest.mark.parametrize("path", ["/slow-head", "/slow-body"])
def test_a_slow_drip_ends_with_the_time(world: World, path: str) -> None:
    start = time.monotonic()
    with pytest.raises(FetchError, match="takes too long"):
        world.fetch(path, seconds=0.5)
    assert time.monotonic() - start < 5


def test_a_server_that_never_answers_and_a_caller_with_less_time_end_too(world: World) -> None:
    with pytest.raises(FetchError, match="takes too long"):
        world.fetcher.fetch(f"http://pictures.example:{world.port}/slow-body", deadline=time.monotonic() + 0.3)
    with pytest.raises(FetchError, match="takes too long"):
        world.fetcher.fetch(f"http://pictures.example:{world.port}/", deadline=time.monotonic() - 1)
    assert len(world.seen) == 1


def test_a_slow_name_server_ends_with_the_time(world: World) -> None:
    def never(_host: str) -> list[str]:
        time.sleep(3)
        return [PUBLIC]

    start = time.monotonic()
    with pytest.raises(FetchError, match="takes too long"):
        world.fetch(seconds=0.2, resolve=never)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("path", ["/endless", "/said-huge", "/picture-bomb"])
def test_more_bytes_than_allowed_are_refused_packed_ones_counted_unpacked(world: World, path: str) -> None:
    with pytest.raises(TooLarge, match="larger than 1 MB"):
        world.fetch(path)


@pytest.mark.parametrize(
    "path", ["/endless-head", "/endless-hints", "/nonsense", "/short", "/odd-packing", "/broken-gzip"]
)
def test_what_breaks_the_protocol_is_an_error_of_one_line(world: World, path: str) -> None:
    with pytest.raises(FetchError) as raised:
        world.fetch(path, seconds=1)
    assert "\n" not in str(raised.value)


def test_the_content_decides_not_what_it_is_called(world: World) -> None:
    assert world.fetch("/called-html") == PICTURE
    assert world.fetch("/gzip") == PICTURE
    for path in ("/html-called-png", "/gzip-bomb"):
        with pytest.raises(UnsupportedFormat):
            world.fetch(path)
    with pytest.raises(EmptyImage):
        world.fetch("/empty")


def test_a_status_is_told_and_nothing_of_the_body_or_the_query(world: World) -> None:
    with pytest.raises(FetchError, match="404 Not Found") as raised:
        world.fetch("/gone?token=secret")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "picture.jpg",
        "ftp://pictures.example/",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "http:///picture",
        "http://user@pictures.example/",
        "http://user:secret@pictures.example/",
        "http://:@pictures.example/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://0x7f.0.0.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.0.0.1.5/",
        "http://127.0.0.256/",
        "http://①②⑦.⓪.⓪.①/",
        "http://[::1%25lo]/",
        "http://[::1/",
        "http://pictures..example/",
        "http://-pictures.example/",
        "http://.pictures.example/",
        "http://pictures example/",
        "http://pictures%2eexample/",
        "http://pictures.example\\@inside.example/",
        "http://pictures.example:0/",
        "http://pictures.example:22/",
        "http://pictures.example:-1/",
        "http://pictures.example:65536/",
        "http://pictures.example:port/",
        "http://pictures.example/\n",
        "http://pictures.example/\0",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 130 + "example/",
        "http://pictures.example/" + "a" * 9000,
    ],
)
def test_what_is_no_plain_url_is_not_even_resolved(world: World, url: str) -> None:
    with pytest.raises(BadUrl) as raised:
        world.fetcher.fetch(url)
    assert world.names.asked == []
    assert "secret" not in str(raised.value)


def test_names_in_other_scripts_and_with_a_final_dot_are_names(world: World) -> None:
    world.names.known["xn--bcher-kva.example"] = [[PUBLIC]]
    assert world.fetch(host="bücher.example") == PICTURE
    assert world.fetch(host="PICTURES.example.") == PICTURE
    assert [headers["Host"].partition(":")[0] for _, headers in world.seen] == [
        "xn--bcher-kva.example",
        "pictures.example",
    ]


@given(st.text(max_size=40) | st.ip_addresses().map(str))
def test_a_host_that_is_taken_is_an_address_or_has_a_last_label_that_is_no_number(name: str) -> None:
    if is_host(name):
        try:
            ipaddress.ip_address(name)
        except ValueError:
            assert not name.rpartition(".")[2].isdigit()
            assert not set(name) & set(" %/\\@:[]?#\n\0")


_NO_TLS = ssl.create_default_context()


@given(st.text(max_size=60) | st.text(alphabet="htp:/@.[]?#%0127x\\ \n", max_size=30).map("http://".__add__))
def test_no_text_whatever_is_more_than_an_error(url: str) -> None:
    def nobody(_host: str) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(FetchError):
        Fetcher(resolve=nobody, tls=_NO_TLS, seconds=1).fetch(url)


def test_certificates_are_held_against_the_name_while_the_connection_goes_to_the_checked_address(world: World) -> None:
    authority = trustme.CA()
    mine, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("pictures.example").configure_cert(mine)
    authority.configure_trust(trusting)
    names: list[str] = []
    mine.sni_callback = lambda _socket, name, _context: names.append(name)
    world.names.known["other.example"] = [[PUBLIC]]
    fetcher = replace(world.fetcher, tls=trusting)
    with hostile_web(PUBLIC, mine) as (port, seen):
        assert fetcher.fetch(f"https://pictures.example:{port}/picture") == PICTURE
        assert names == ["pictures.example"]
        assert seen[0][1]["Host"] == f"pictures.example:{port}"
        for wrong in ("other.example", PUBLIC):
            with pytest.raises(FetchError, match="certificate"):
                fetcher.fetch(f"https://{wrong}:{port}/picture")
        with pytest.raises(FetchError, match="certificate"):
            world.fetcher.fetch(f"https://pictures.example:{port}/picture")
        with pytest.raises(FetchError):
            fetcher.fetch(f"https://pictures.example:{world.port}/picture")
    assert len(seen) == 1


def test_no_proxy_of_the_environment_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{world.own_port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert world.fetch() == PICTURE
    assert world.own_seen == []
