"""This machine's interfaces, chosen by name or address."""

from __future__ import annotations

import ipaddress

import pytest

from cipsec.discovery.announce import host_name
from cipsec.discovery.interfaces import Interface, announced_on, choose, interfaces, narrowed
from cipsec.errors import UsageError
from cipsec.pki.names import is_host_name

TWO = [
    Interface("lo", 1, (ipaddress.ip_interface("127.0.0.1/8"),)),
    Interface(
        "eth0",
        2,
        (ipaddress.ip_interface("192.0.2.1/24"), ipaddress.ip_interface("198.51.100.1/24")),
    ),
]


def loopback() -> Interface:
    return next(i for i in interfaces() if i.loopback)


def test_loopback_is_there() -> None:
    """Every machine has one, and it can be chosen by name and by address."""
    assert choose([loopback().name]) == [loopback()]
    (by_address,) = choose(["127.0.0.1"])
    assert by_address.name == loopback().name
    assert [str(a.ip) for a in by_address.addresses] == ["127.0.0.1"]


def test_no_choice_means_all() -> None:
    """Without a choice all interfaces count."""
    assert choose([]) == interfaces()


def test_announced_on() -> None:
    """Unasked on what others can use, then on what leads to others, on loopback last."""
    cable = Interface("veth0", 3, (ipaddress.ip_interface("fe80::1/64"),))
    assert announced_on([*TWO, cable], []) == [TWO[1]]
    assert announced_on([TWO[0], cable], []) == [cable]
    assert announced_on([TWO[0]], []) == [TWO[0]]
    assert announced_on([*TWO, cable], ["veth0", "127.0.0.1", "gone"]) == [TWO[0], cable]


def test_an_address_narrows_its_interface() -> None:
    """Of an interface chosen by address only that address counts."""
    (chosen,) = narrowed(TWO, ["198.51.100.1"])
    assert [str(a) for a in chosen.addresses] == ["198.51.100.1/24"]
    assert narrowed(TWO, ["eth0", "198.51.100.1"]) == [TWO[1]]


def test_unknown_interface() -> None:
    """A wrong name is refused with the names there are; one that went away is passed over."""
    with pytest.raises(UsageError, match="no interface 'nix'") as refused:
        choose(["nix"])
    assert refused.value.hint
    assert "127.0.0.1" in refused.value.hint
    assert narrowed(TWO, ["nix"]) == []


def test_announced_host_name() -> None:
    """The SRV target is a host name whatever the machine is called."""
    assert is_host_name(host_name())
    assert host_name().endswith("-est.local")
