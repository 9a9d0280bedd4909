"""Files that are edited while requests come: each is answered by what the file says when it comes.

ca.toml, an allowlist and a vendor's files, each edited in every way in which people edit.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cipsec.est.wire import Response
from cipsec.ra.config import ConfigFile
from tests.support import asking, ca, est, vendor
from tests.support.est import Server
from tests.support.vendor import Pki

from .spending import DEVICE, Ask

INVENTORY = '[[rule]]\nname = "inventory"\nwhen = { vendor = true, serial = "default" }\n'
GRANT, REJECT = INVENTORY + 'then = "grant" \n', INVENTORY + 'then = "reject"\n'
OTHER = "0001:00000009"
ROUNDS = 25


def in_place(path: Path, text: bytes) -> None:
    """Overwrite, as an editor does that keeps the file."""
    with path.open("r+b") as file:
        file.write(text)
        file.truncate()


def replaced(path: Path, text: bytes) -> None:
    """Write another file and give it the name, as git and cipsec do."""
    new = path.with_name(".new")
    new.write_bytes(text)
    new.replace(path)


def synchronized(path: Path, text: bytes) -> None:
    """Replace it by one with the old times, as rsync and `cp -p` do."""
    new = path.with_name(".new")
    new.write_bytes(text)
    shutil.copystat(path, new)
    new.replace(path)


def with_its_times(path: Path, text: bytes) -> None:
    """Overwrite and set the times back."""
    before = path.stat()
    in_place(path, text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


EDITS = [in_place, replaced, synchronized, with_its_times]
Edit = Callable[[Path, bytes], None]


@dataclasses.dataclass(frozen=True)
class Edited:
    """A file and its two versions, of the same length: the device gets a certificate, or not."""

    path: Path
    good: bytes
    bad: bytes


@pytest.fixture
def pki(server: Server) -> Pki:
    """A vendor whose device is listed; and rules that ask for both, read from the file."""
    made = vendor.make()
    folder = server.folder.path
    vendor.install(folder / "vendors", "acme", made.root)
    (folder / "allowlists" / "default.csv").write_text(f"device\n{DEVICE}\n")
    server.folder.config_file.write_text(GRANT)
    file = ConfigFile(server.folder.config_file)
    server.ra._config = server.est._config = file.current
    return made


@pytest.fixture(
    params=["ca.toml", "allowlists/default.csv", "vendors/acme.pem", "vendors/acme.crl"]
)
def edited(request: pytest.FixtureRequest, server: Server, pki: Pki) -> Edited:
    """Each file that decides."""
    path = server.folder.path / request.param
    match path.suffix:
        case ".toml":
            return Edited(path, GRANT.encode(), REJECT.encode())
        case ".csv":
            return Edited(path, path.read_bytes(), f"device\n{OTHER}\n".encode())
        case ".pem":
            return Edited(path, path.read_bytes(), vendor.look_alike(pki.root).pem)
        case _:
            serials = (7, pki.device.certificate.serial_number)
            good, bad = (vendor.crl(pki.issuing, one, signer=pki.issuing.key) for one in serials)
            path.write_bytes(good)
            return Edited(path, good, bad)


def asks(pki: Pki) -> Ask:
    """Return a request of the device, each time the same key: no replacement."""
    return Ask(ca.request(key=pki.device.key).der, pki.chain)


@pytest.mark.parametrize("edit", EDITS)
def test_the_next_request_sees_the_edit(
    edit: Edit, edited: Edited, server: Server, pki: Pki
) -> None:
    """At once, whichever way it was edited, and as often as it is."""
    ask = asks(pki)
    for _ in range(ROUNDS):
        edit(edited.path, edited.bad)
        assert server.answer(ask.request()).status == 403
        edit(edited.path, edited.good)
        assert server.answer(ask.request()).status == 200


@pytest.mark.parametrize("edit", [in_place, replaced])
def test_edits_between_requests_at_once(
    edit: Edit, edited: Edited, server: Server, pki: Pki
) -> None:
    """Among many requests at once, those that come after the edit are answered by it."""
    ask = asks(pki)

    async def scene() -> tuple[list[Response], list[Response]]:
        before = [asyncio.create_task(server.ask(ask.request())) for _ in range(10)]
        await asyncio.sleep(0)  # they have begun; what they see is theirs
        edit(edited.path, edited.bad)
        after = [asyncio.create_task(server.ask(ask.request())) for _ in range(10)]
        return await asyncio.gather(*before), await asyncio.gather(*after)

    for _ in range(5):
        edit(edited.path, edited.good)
        before, after = est.run(scene())
        assert {response.status for response in before} <= {200, 403}
        assert {response.status for response in after} == {403}


BROKEN = {
    "ca.toml": b'[[rule]]\nname = "x"\n',
    "default.csv": f"device,uses\n{DEVICE},many\n".encode(),
    "acme.pem": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "acme.crl": b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
}


def test_a_broken_file_grants_nothing(edited: Edited, server: Server, pki: Pki) -> None:
    """While it is broken requests wait, one event says which file; then all is as before."""
    ask = asks(pki)
    assert server.answer(ask.request()).status == 200
    before = len(server.events())
    replaced(edited.path, BROKEN[edited.path.name])
    status = 503 if edited.path.name == "ca.toml" else 202
    assert {server.answer(ask.request()).status for _ in range(5)} == {status}
    [trouble] = [e for e in server.events(before) if e.event == "policy-error"]
    assert trouble.reason
    assert edited.path.name in trouble.reason
    replaced(edited.path, edited.good)
    assert server.answer(ask.request()).status == 200


@pytest.fixture
def restless(edited: Edited) -> Iterator[None]:
    """Somebody who replaces the file all the time, by versions that both reject."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.001):
            replaced(edited.path, edited.bad + b"\n")
            replaced(edited.path, edited.bad)

    edited.path.write_bytes(edited.bad)
    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("restless")
def test_a_file_that_never_rests(server: Server, pki: Pki) -> None:
    """Nothing is granted, and nobody waits for ever, while no version grants."""
    ask = asks(pki)
    statuses = {server.answer(ask.request()).status for _ in range(100)}
    assert statuses <= {403, 202, 503}
    assert 403 in statuses


def test_rules_that_change_while_a_program_is_asked(server: Server, tmp_path: Path) -> None:
    """What it says counts for the rules there are by then."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    go = folder / "go"
    [program] = asking.scripts(folder)(f"until test -e {go}; do sleep 0.05; done")
    rule = f'[[rule]]\nname = "cmdb"\nwhen = {{ exec = ["{program}"] }}\nthen = "grant"\n'
    server.text = rule

    async def scene() -> Response:
        request = asyncio.create_task(server.ask(est.post(ca.request("CN=pc").der)))
        await asking.begun(server.sources.programs, "192.0.2.7", 1)
        assert not request.done()
        server.text = rule.replace("grant", "reject")
        go.touch()
        return await request

    assert est.run(scene()).status == 403
    assert server.certificates() == []


def test_edits_within_a_tick_of_the_clock(server: Server) -> None:
    """Times of files move in steps; an edit within the step in which the last was read counts."""
    path = server.folder.config_file
    path.write_text(GRANT)
    config = ConfigFile(path)
    for _ in range(200):
        for text, outcome in ((REJECT, "reject"), (GRANT, "grant")):
            in_place(path, text.encode())
            assert config.current().policy.rules[0].then == outcome
