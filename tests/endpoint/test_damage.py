"""A folder that is damaged, foreign, or not to be written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec.endpoint.folder import Folder
from cipsec.errors import (
    AlreadyExists,
    LocalState,
    Pending,
)
from cipsec.pki import keys
from tests.endpoint.acting import WAIT, again, assert_matches, get, wish
from tests.support.canned import EstServer, Seen, certs


def test_somebody_elses_files_are_left_alone(server: EstServer, folder: Folder) -> None:
    """A key.pem that this program did not make is not overwritten, by no option."""
    folder.path.mkdir()
    (folder.path / "key.pem").write_text("precious")
    for force in (False, True):
        with pytest.raises(AlreadyExists, match="not made by this program"):
            get(folder, wish(server), force=force)
    assert (folder.path / "key.pem").read_text() == "precious"
    assert server.posts() == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("key.pem", b""),
        ("certificate.pem", b"rubbish"),
        ("chain.pem", b""),
        ("trust.pem", b"\xff"),
        ("state.json", b"{}"),
        ("state.json", b"[" * 100_000),
        ("state.json", b'{"kind":"enroll","server":7}'),
        ("request.pem", b"-----BEGIN CERTIFICATE REQUEST-----"),
        ("key.pem", keys.to_pem(keys.generate(keys.KeyType.EC_P256))),
    ],
)
def test_damage_is_said_and_can_be_left_behind(
    server: EstServer, folder: Folder, name: str, content: bytes
) -> None:
    """Exit 6 with a hint, not a traceback; -f gets a new identity."""
    get(folder, wish(server))
    (folder.path / "current" / name).write_bytes(content)
    for act in (folder.identity, lambda: again(folder), lambda: get(folder, wish(server))):
        with pytest.raises(LocalState):
            act()
    assert_matches(get(folder, wish(server), force=True))


@pytest.mark.parametrize("pointer", ["", "../../etc", "7", "x" * 100, "1\n"])
def test_a_damaged_pointer(server: EstServer, folder: Folder, pointer: str) -> None:
    """`current` may be a file, as on Windows; whatever is in it, the newest identity is found."""
    identity = get(folder, wish(server))
    current = folder.path / "current"
    current.unlink()
    current.write_text(pointer)
    with folder.locked():
        pass
    found = folder.identity()
    assert found
    assert found.issued == identity.issued


def test_a_damaged_draft(server: EstServer, folder: Folder) -> None:
    """Is said; -f starts anew."""
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending):
        get(folder, wish(server), wait=False)
    (folder.path / "next" / "state.json").write_bytes(b"{")
    with pytest.raises(LocalState, match="is damaged") as caught:
        get(folder, wish(server))
    assert "-f" in (caught.value.hint or "")
    server.answers.clear()
    assert_matches(get(folder, wish(server), force=True))


def test_without_symbolic_links(
    server: EstServer, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where links are not to be had (Windows), `current` is a file and the paths are numbered."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", refuse)
    first = get(folder, wish(server))
    assert_matches(first)
    assert first.key_file == folder.path / "1" / "key.pem"
    second = again(folder)
    assert_matches(second)
    assert second.key_file == folder.path / "2" / "key.pem"
    assert not (folder.path / "1").exists()


def test_the_place_cannot_be_used(server: EstServer, tmp_path: Path) -> None:
    """A file in the way, or no permission: said before anything is sent."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none/of/ours")):
        with pytest.raises(LocalState, match="cannot be used"):
            get(Folder(path), wish(server))
    assert server.seen == []


def test_client_usages_alone_do(server: EstServer, folder: Folder) -> None:
    """What the CA puts into the certificate's usages is the CA's affair."""

    def client_only(seen: Seen) -> Any:
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        request = seen.request
        return certs([server.plant.issue(request.public_key, request.subject, usages=usages)])

    server.answers["simpleenroll"] = client_only
    assert_matches(get(folder, wish(server)))
