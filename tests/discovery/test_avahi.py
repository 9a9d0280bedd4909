"""Avahi, the usual multicast DNS of Linux, as the stranger: each finds what the other announces.

It runs on a "machine" of its own, a network namespace with its own /run and system bus, so that
the real one's port 5353 is not fought over. A virtual cable leads to the namespace of cipsec.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.waiting import LONG

_NEEDED = ["avahi-daemon", "avahi-browse", "avahi-publish", "dbus-daemon", "ip", "nsenter"]
_MISSING = [program for program in _NEEDED if shutil.which(program) is None]

pytestmark = [
    pytest.mark.programs,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0,
        reason="network namespaces need root",
    ),
]

_SET_UP = """
mount --make-rprivate / && mount -t tmpfs none /run && mkdir /run/dbus /run/avahi-daemon
dbus-daemon --system --fork
printf '[server]\\nallow-interfaces=av0\\n[wide-area]\\nenable-wide-area=no\\n' > /run/avahi.conf
avahi-daemon --no-drop-root --no-chroot --daemonize --file /run/avahi.conf
"""

_ANNOUNCE = """
import asyncio, sys
from cipsec.discovery.announce import Announcement
async def main():
    announcement = Announcement("Line 4 [/red]", 8443, wanted=["cs0"], label="line4")
    announcement.start()
    await announcement.announced.wait()
    print("announced", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await announcement.close()
asyncio.run(main())
"""


@dataclass(frozen=True)
class Machine:
    """A network namespace, held by a process whose end takes everything in it along."""

    holder: subprocess.Popen[bytes]

    @property
    def pid(self) -> str:
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text()
        return children.split()[0]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run to the end; what stays in the background ends with the machine."""
        enter = ["nsenter", "--target", self.pid, "--mount", "--net", "--pid", *command]
        return subprocess.run(enter, check=False, text=True, capture_output=True, timeout=120)

    def start(self, *command: str, **streams: int) -> subprocess.Popen[str]:
        """Start what the test itself ends; in its PID namespace a signal would not reach it."""
        enter = ["nsenter", "--target", self.pid, "--mount", "--net", *command]
        return subprocess.Popen(enter, text=True, **streams)  # type: ignore[call-overload,no-any-return]  # streams only


def _machine() -> Machine:
    holder = subprocess.Popen(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sleep", "infinity"]
    )
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
    while not children.read_text():
        assert holder.poll() is None, "no namespaces can be made here"
        time.sleep(0.01)
    return Machine(holder)


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[Machine, Machine]]:
    """Two machines on one cable: Avahi's and ours."""
    assert not _MISSING, f"root, and these programs are missing: {', '.join(_MISSING)}"
    avahi, ours = _machine(), _machine()
    try:
        _plug(avahi, ours)
        done = avahi.run("sh", "-ec", _SET_UP)
        assert done.returncode == 0, done.stderr
        yield avahi, ours
    finally:
        for machine in (avahi, ours):
            machine.holder.kill()
            machine.holder.wait()


def _plug(avahi: Machine, ours: Machine) -> None:
    cable = ["av0", "netns", avahi.pid, "type", "veth", "peer", "name", "cs0", "netns", ours.pid]
    subprocess.run(["ip", "link", "add", *cable], check=True)
    for machine, interface, address in (
        (avahi, "av0", "198.51.100.1/24"),
        (ours, "cs0", "198.51.100.2/24"),
    ):
        for command in (
            ["link", "set", "lo", "up"],
            ["address", "add", address, "dev", interface],
            ["link", "set", interface, "up"],
        ):
            assert machine.run("ip", *command).returncode == 0


def test_avahi_publishes_and_we_find(machines: tuple[Machine, Machine]) -> None:
    """A service published by avahi-publish is listed with its TXT, its host and its address."""
    avahi, ours = machines
    published = avahi.start(
        "avahi-publish", "-s", "Stranger [/red] é", "_est._tcp", "9443", "label=l4", "path=/y",
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert published.stderr
    with published, published.stderr:
        assert "Established" in published.stderr.readline()
        found = ours.run(
            sys.executable, "-m", "cipsec", "discover", "--json", "--no-probe", "--interface",
            "cs0", "--timeout", "10",
        )  # fmt: skip
        published.terminate()
    (server,) = json.loads(found.stdout)["servers"]
    assert server["host"].endswith(".local")
    assert server | {"host": ""} == {
        "name": "Stranger [/red] é",
        "host": "",
        "port": 9443,
        "addresses": server["addresses"],
        "interface": "cs0",
        "url": "https://198.51.100.1:9443",
        "label": "l4",
        "txt": {"label": "l4", "path": "/y"},
        "reachable": None,
        "ca_sha256": None,
        "trusted": None,
    }
    assert server["addresses"][0] == "198.51.100.1"
    assert found.returncode == 0
    assert found.stderr == ""


def test_avahi_withdraws_and_we_notice(machines: tuple[Machine, Machine]) -> None:
    """`--watch` tells of a service of Avahi's when it comes and when it goes."""
    avahi, ours = machines
    watching = ours.start(
        sys.executable, "-m", "cipsec", "discover", "--watch", "--json", "--no-probe",
        "--timeout", "120", stdout=subprocess.PIPE,
    )  # fmt: skip
    assert watching.stdout
    with watching, watching.stdout:
        published = avahi.start(
            "avahi-publish",
            "-s",
            "Coming and going",
            "_est._tcp",
            "9443",
            stderr=subprocess.DEVNULL,
        )
        found = json.loads(watching.stdout.readline())
        published.terminate()
        published.wait()
        # Over IPv6 Avahi tells less: what else there is may come a moment later.
        told = map(json.loads, watching.stdout)
        gone = next(event for event in told if event["event"] != "updated")
        watching.terminate()
    assert [(e["event"], e["name"]) for e in (found, gone)] == [
        ("found", "Coming and going"),
        ("gone", "Coming and going"),
    ]


def _browsed(avahi: Machine, options: str, begins: str, holds: str = "") -> set[str]:
    """Return the lines of avahi-browse, which looks once: look again until there are some."""
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        shown = avahi.run("avahi-browse", options, "_est._tcp").stdout.splitlines()
        if lines := {line for line in shown if line.startswith(begins) and holds in line}:
            return lines
    return set()


def test_we_announce_and_avahi_finds(machines: tuple[Machine, Machine]) -> None:
    """avahi-browse resolves what we announce, over both families, and sees it go."""
    avahi, ours = machines
    announcing = ours.start(
        sys.executable, "-c", _ANNOUNCE, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert announcing.stdout
    assert announcing.stdin
    with announcing, announcing.stdout:
        assert announcing.stdout.readline() == "announced\n"
        lines = _browsed(avahi, "-rpt", "=;av0;IPv4")
        announcing.stdin.close()
        announcing.wait(LONG)
    assert len(lines) == 1
    fields = lines.pop().split(";")
    assert fields[3:6] == [r"Line\0324\032\091\047red\093", "_est._tcp", "local"]
    assert fields[6].endswith("-est.local")
    assert fields[7:] == ["198.51.100.2", "8443", '"label=line4"']
    deadline = time.monotonic() + LONG
    # A goodbye gives a record one second more (RFC 6762 section 10.1).
    while avahi.run("avahi-browse", "-rpt", "_est._tcp").stdout:
        assert time.monotonic() < deadline


def test_a_name_that_avahi_has_is_left_to_it(machines: tuple[Machine, Machine]) -> None:
    """A name conflict with Avahi makes us take the next number."""
    avahi, ours = machines
    published = avahi.start(
        "avahi-publish", "-s", "Line 4 [/red]", "_est._tcp", "1", stderr=subprocess.PIPE
    )
    announcing = None
    assert published.stderr
    with published, published.stderr:
        assert "Established" in published.stderr.readline()
        announcing = ours.start(
            sys.executable, "-c", _ANNOUNCE, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert announcing.stdout
        assert announcing.stdin
        with announcing, announcing.stdout:
            assert announcing.stdout.readline() == "announced\n"
            numbered = r"Line\0324\032\091\047red\093\032\0402\041;"
            lines = _browsed(avahi, "-pt", "+;av0;", numbered)
            announcing.stdin.close()
            announcing.wait(LONG)
        published.terminate()
    assert lines
