"""Apprise, with its json:// URLs to a receiver on loopback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cipsec.errors import LocalState, Malformed, Unreachable
from tests.support.ports import HOST, free_port

from .happening import send, told
from .receivers import hook

CHANNEL = 'type = "apprise"\nurls_file = "push.urls"\n'


def urls(folder: Path, *lines: str) -> None:
    """Write the file of URLs."""
    (folder / "push.urls").write_text("\n".join(lines))


def test_push(folder: Path) -> None:
    """Title and text arrive; comments and empty lines are none."""
    with hook() as received:
        port = received.url.rpartition(":")[2]
        urls(folder, "# the plant", "", f"json://{HOST}:{port}/in")
        assert send(CHANNEL, folder) is None
    [document] = received.documents
    assert document["title"] == "(Line 4) pending: CN=Drive 7 (0001:6040C8F2)"
    assert "cipsec ca show abababababab" in document["message"]


def test_markup_of_devices(folder: Path) -> None:
    """A device's name makes no link, mention or markup in a chat."""
    with hook() as received:
        urls(folder, f"json://{HOST}:{received.url.rpartition(':')[2]}")
        hostile = "CN=<https://evil.example|Approve> @everyone [a](https://evil.example) `x`"
        send(CHANNEL, folder, told(subject=hostile))
    [document] = received.documents
    for text in (document["title"], document["message"]):
        assert not set("<>@`[]|") & set(text)
        assert "://" not in text


def test_one_of_two_fails(folder: Path) -> None:
    """The other is not told again and again; it is said which failed, not its URL."""
    with hook() as received:
        port = received.url.rpartition(":")[2]
        urls(folder, f"json://{HOST}:{free_port()}/T0K3N", f"json://{HOST}:{port}", "nonsense")
        left = send(CHANNEL, folder)
    assert left == f"{folder / 'push.urls'}: line 1 was not taken; line 3 is no Apprise URL"
    assert len(received.got) == 1


def test_all_fail(tmp_path: Path) -> None:
    """Not delivered; the URL is a secret and stays one; the hint can be typed as it is."""
    folder = tmp_path / "line 4"
    folder.mkdir()
    urls(folder, f"json://user:T0K3N@{HOST}:{free_port()}/T0K3N")
    with pytest.raises(Unreachable) as caught:
        send(CHANNEL, folder)
    assert caught.value.message.endswith("line 1 was not taken")
    assert "T0K3N" not in f"{caught.value.message}{caught.value.hint}"
    assert str(caught.value.hint).endswith(f" -c '{folder / 'push.urls'}'")


@pytest.mark.parametrize("content", [None, b"", b"# nothing\n", b"\xff"])
def test_files_without_urls(folder: Path, content: bytes | None) -> None:
    """The file is named."""
    if content is not None:
        (folder / "push.urls").write_bytes(content)
    with pytest.raises(LocalState, match=r"push\.urls"):
        send(CHANNEL, folder)


def test_without_apprise(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said how to get it."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    urls(folder, "json://127.0.0.1")
    with pytest.raises(LocalState) as caught:
        send(CHANNEL, folder)
    assert caught.value.hint == 'install it with: pip install "cipsec[notify]"'
    assert not isinstance(caught.value, Malformed)
