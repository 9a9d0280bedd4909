"""What is found on a machine: on this one nothing that fails, on others what is wrong."""

from __future__ import annotations

import dataclasses
import ipaddress
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cipsec import times
from cipsec.discovery.interfaces import Attached, Interface
from cipsec.doctor import machine
from cipsec.doctor.finding import Remark
from cipsec.doctor.machine import Machine, Tls
from cipsec.times import RELEASED

from .looking import FAIL, OK, WARN, brief

_TLS = Tls("OpenSSL 3.0.19", (3, 0, 19), "OpenSSL 4.0.3", tls_1_2=True, tls_1_3=True)


def _interface(name: str, *addresses: str, index: int = 1) -> Interface:
    attached: tuple[Attached, ...] = tuple(map(ipaddress.ip_interface, addresses))
    return Interface(name, index, attached)


_LO = _interface("lo", "127.0.0.1/8", "::1/128")
_PLANT = _interface("eth0", "192.0.2.5/24", "fe80::1/64")
_OFFICE = _interface("wlan0", "198.51.100.9/24")


def _machine(**values: object) -> Machine:
    made = Machine(times.now(), (3, 11), _TLS, (_LO, _PLANT))
    return dataclasses.replace(made, **values)  # type: ignore[arg-type]  # the tests' own


def _only(check: str, **values: object) -> Remark:
    [remark] = machine.CHECKS[check](_machine(**values))
    return remark


def test_this_machine() -> None:
    """Every check says something, and nothing fails where these tests run."""
    here = machine.this(times.now())
    for name, check in machine.CHECKS.items():
        remarks = list(check(here))
        assert remarks, name
        assert FAIL not in [remark.verdict for remark in remarks], remarks


def test_python() -> None:
    """An older Python fails, whatever it managed to import."""
    assert _only("python").verdict is OK
    assert "cipsec" in _only("python").detail
    assert _only("python", python=(3, 10)).verdict is FAIL


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({}, OK),
        ({"tls_1_2": False}, FAIL),
        ({"tls_1_3": False}, WARN),
        ({"client_version": (1, 1, 1)}, WARN),
    ],
)
def test_openssl(values: dict[str, object], verdict: object) -> None:
    """Both OpenSSLs are named; without TLS 1.2 nothing works."""
    tls = dataclasses.replace(_TLS, **values)  # type: ignore[arg-type]  # the tests' own
    remark = _only("openssl", tls=tls)
    assert remark.verdict is verdict
    assert "OpenSSL 3.0.19 as client, OpenSSL 4.0.3 as server" in remark.detail


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), FAIL),
        (RELEASED - timedelta(seconds=1), FAIL),
        (RELEASED, OK),
        (datetime(2038, 1, 19, tzinfo=UTC), OK),
        (datetime(2100, 1, 1, tzinfo=UTC), FAIL),
    ],
)
def test_clock(now: datetime, verdict: object) -> None:
    """A board without a battery begins in 1970; others have been set to anything."""
    remark = _only("clock", now=now)
    assert remark.verdict is verdict
    assert remark.hint == (None if verdict is OK else "date -u")


def test_network() -> None:
    """One network is well; none and several are something to see to."""
    assert brief([_only("network")]) == [(OK, "eth0 (192.0.2.5)")]
    assert brief([_only("network", interfaces=(_LO,))]) == [
        (WARN, "no interface leads to other machines")
    ]
    several = _only("network", interfaces=(_LO, _PLANT, _OFFICE))
    assert several.verdict is WARN
    assert "eth0 (192.0.2.5); wlan0 (198.51.100.9)" in several.detail
    assert several.hint == "cipsec ca serve --interface eth0"


def test_multicast(tmp_path: Path) -> None:
    """An interface without the flag is named; where Linux says nothing, nothing is."""
    for name, flags in (("eth0", "0x1003"), ("wlan0", "0x3")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flags").write_text(f"{flags}\n")
    there = (_LO, _PLANT, _interface("tun0", "203.0.113.1/32"))
    assert _only("multicast", sysfs=tmp_path, interfaces=there).verdict is OK
    without = _only("multicast", sysfs=tmp_path, interfaces=(*there, _OFFICE))
    assert without.verdict is WARN
    assert without.detail.startswith("wlan0 carries no multicast")
    assert without.hint == "ip link set wlan0 multicast on"


def test_multicast_port(tmp_path: Path) -> None:
    """A program that holds the port of mDNS for itself keeps all others from it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("", 0))
        port = holder.getsockname()[1]
        remark = _only("multicast", sysfs=tmp_path, mdns_port=port)
    assert brief([remark]) == [
        (WARN, f"UDP port {port} cannot be shared: another program holds it for itself")
    ]
    assert remark.hint == f"ss -lunp sport = :{port}"
    assert _only("multicast", sysfs=tmp_path, mdns_port=port).verdict is OK


def test_extras() -> None:
    """An extra that is missing is no fault here: the channel that needs it says so."""
    assert _only("extras", extras={"notify": "json"}) == Remark(OK, "notify is installed")
    missing = _only("extras", extras={"notify": "no_such_module_", "more": "json"})
    assert missing.verdict is OK
    assert missing.detail == "more is installed; notify is not installed"
    assert missing.hint == 'pip install "cipsec[notify]"'
