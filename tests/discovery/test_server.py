"""A server as DNS-SD describes it: decoded, ranked, and never a way into a URL."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.discovery.interfaces import Interface
from cipsec.discovery.server import Server, decode_txt, instance_of, reachable

ETHERNET = Interface(
    "eth0",
    2,
    (ipaddress.ip_interface("192.0.2.10/24"), ipaddress.ip_interface("fd00::10/64")),
)
LOOPBACK = Interface("lo", 1, (ipaddress.ip_interface("127.0.0.1/8"),))


def server(**changes: object) -> Server:
    values: dict[str, object] = {
        "name": "Line 4",
        "host": "est.local",
        "port": 8443,
        "addresses": ("192.0.2.1",),
        "interface": "eth0",
        "txt": {},
    }
    return Server(**(values | changes))  # type: ignore[arg-type]  # the test gives right types


@pytest.mark.parametrize(
    ("data", "pairs"),
    [
        (b"", {}),
        (b"\0", {}),
        (b"\x07label=a", {"label": "a"}),
        (b"\x07LABEL=a\x07label=b", {"label": "a"}),
        (b"\x04flag\x06empty=", {"flag": None, "empty": ""}),
        (b"\x02=x\x03a=b", {"a": "b"}),
        (b"\xffcut=short", {"cut": "short"}),
        (b"\x05k=a=b", {"k": "a=b"}),
        (b"\x04b=\xff\xfe", {"b": "\\xff\\xfe"}),
    ],
)
def test_txt(data: bytes, pairs: dict[str, str | None]) -> None:
    """RFC 6763 section 6: first of a key wins, keys without case, a key alone, none at all."""
    assert decode_txt(data) == pairs


@given(st.binary(max_size=4096))
def test_txt_is_always_read(data: bytes) -> None:
    """Any bytes give text pairs that JSON can carry, and never too many."""
    pairs = decode_txt(data)
    assert len(pairs) <= 64
    for text in (*pairs, *(value for value in pairs.values() if value)):
        text.encode("utf-8")


@given(
    st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=9),
        st.none() | st.text(max_size=40),
        max_size=20,
    )
)
def test_txt_round_trip(pairs: dict[str, str | None]) -> None:
    """What is written as RFC 6763 says is read back."""
    strings = [(k if v is None else f"{k}={v}").encode() for k, v in pairs.items()]
    assert decode_txt(b"".join(bytes([len(s)]) + s for s in strings)) == pairs


@given(st.text(), st.sampled_from(["_est._tcp.local.", "_EST._TCP.local."]))
def test_instance_names(instance: str, written: str) -> None:
    """An instance's name is what stands before the type, dots and all, in whatever case."""
    assert instance_of(f"{instance}.{written}", "_est._tcp.local.") == (instance or None)


@pytest.mark.parametrize("name", ["_est._tcp.local.", "x._http._tcp.local.", "", "x", "local."])
def test_names_of_other_types(name: str) -> None:
    """A pointer to something else is no instance."""
    assert instance_of(name, "_est._tcp.local.") is None


@pytest.mark.parametrize(
    ("addresses", "host", "url"),
    [
        (("192.0.2.1", "fd00::1"), "est.local", "https://192.0.2.1:8443"),
        (("fd00::1",), "est.local", "https://[fd00::1]:8443"),
        (("fe80::1%eth0",), "est.local", "https://[fe80::1%eth0]:8443"),
        ((), "est.plant.example", "https://est.plant.example:8443"),
        ((), "est.local", None),
        ((), "*.plant.example", None),
        ((), "user@evil/x?y#z", None),
        ((), "evil\r\nhost", None),
    ],
)
def test_url(addresses: tuple[str, ...], host: str, url: str | None) -> None:
    """By address where there is one, else by a name that the resolver can know, else not at all."""
    assert server(addresses=addresses, host=host).url == url


@given(st.text(), st.text())
def test_no_host_name_gets_out_of_the_url(host: str, label: str) -> None:
    """Whatever a stranger calls its host or label, the URL leads to that host or there is none."""
    announced = server(host=host, addresses=(), txt={"label": label})
    if announced.url:
        assert urlsplit(announced.url).hostname == host.lower()
        assert urlsplit(announced.url).port == 8443
    assert announced.label is None or "/" not in announced.label


@pytest.mark.parametrize("text", ["", "a/b", "..", "a b", "a\n", "%2e", "x" * 64])
def test_label_that_fits_no_url(text: str) -> None:
    """A label with anything but unreserved characters is kept in `txt` alone."""
    assert server(txt={"label": text}).label is None
    assert server(txt={"label": "line-4"}).label == "line-4"


def test_addresses_are_ranked() -> None:
    """On-link before routed, IPv4 first, link-local IPv6 last and with its zone."""
    announced = ["fe80::1", "fd00::1", "198.51.100.1", "192.0.2.1", "2001:db8::1"]
    assert reachable(map(ipaddress.ip_address, announced), ETHERNET) == (
        "192.0.2.1",
        "fd00::1",
        "198.51.100.1",
        "2001:db8::1",
        "fe80::1%eth0",
    )


def test_addresses_nobody_can_connect_to_are_left_out() -> None:
    """Multicast, broadcast, unspecified, and loopback heard on a real network."""
    announced = ["224.0.0.251", "255.255.255.255", "0.0.0.0", "::", "ff02::1", "127.0.0.1", "::1"]
    assert reachable(map(ipaddress.ip_address, announced), ETHERNET) == ()
    assert reachable([ipaddress.ip_address("127.0.0.1")], LOOPBACK) == ("127.0.0.1",)


def test_addresses_are_bounded() -> None:
    """A server of a thousand addresses is tried at sixteen."""
    announced = [ipaddress.ip_address(0xC0000200 + i) for i in range(1000)]
    assert len(reachable(announced, ETHERNET)) == 16


def test_order() -> None:
    """Lowest priority, then highest weight, then the name (RFC 2782)."""
    listed = [
        server(name="d", priority=1, weight=9),
        server(name="c", priority=0, weight=0),
        server(name="b", priority=0, weight=0),
        server(name="a", priority=0, weight=5),
    ]
    assert [s.name for s in sorted(listed, key=lambda s: s.order)] == ["a", "b", "c", "d"]
