"""What people may write for a server, and what it becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.endpoint.server import Server
from cipsec.errors import UsageError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("plant", "https://plant:8443/.well-known/est"),
        ("Plant.Example", "https://plant.example:8443/.well-known/est"),
        ("10.0.0.1:444", "https://10.0.0.1:444/.well-known/est"),
        ("::1", "https://[::1]:8443/.well-known/est"),
        ("[::1]:444", "https://[::1]:444/.well-known/est"),
        ("fe80::1%eth0", "https://[fe80::1%eth0]:8443/.well-known/est"),
        ("https://plant", "https://plant:443/.well-known/est"),
        ("https://plant:8443/", "https://plant:8443/.well-known/est"),
        ("https://plant/.well-known/est/", "https://plant:443/.well-known/est"),
        ("https://plant/.well-known/est/line4", "https://plant:443/.well-known/est/line4"),
    ],
)
def test_a_server_is_host_port_or_url(text: str, url: str) -> None:
    """A bare host means the port of `ca serve`, a URL means what URLs mean."""
    assert Server.parse(text).url == url
    assert Server.parse(text).named


@pytest.mark.parametrize(
    "text",
    ["", " ", "a b", "http://plant", "ftp://plant", "plant:0", "plant:99999", "plant:x", "https://",
     "https://user:secret@plant", "https://plant/est", "https://plant/?x", "https://plant/#x",
     "https://plant/.well-known/est/simpleenroll", "https://plant/.well-known/est/a/b", "*.plant",
     "-x", "https://plant/.well-known/est/..", "a/b", "plant\n", "[::1", "https://[x]"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    """Plain HTTP, passwords, other paths, operations for labels: refused before the network."""
    with pytest.raises(UsageError):
        Server.parse(text)


@pytest.mark.parametrize("text", ["https://user:secret@plant", "user:secret@plant:8443"])
def test_a_password_in_a_url_is_not_shown(text: str) -> None:
    """Errors end up in logs."""
    with pytest.raises(UsageError) as refused:
        Server.parse(text)
    assert "secret" not in f"{refused.value.message} {refused.value.hint}"


def test_labels() -> None:
    """By option or in the URL, not two different ones."""
    assert Server.parse("plant", "line4").label == "line4"
    assert Server.parse("https://plant/.well-known/est/a", "a").label == "a"
    assert Server.parse("plant").label is None
    with pytest.raises(UsageError, match="names the label"):
        Server.parse("https://plant/.well-known/est/a", "b")
    with pytest.raises(UsageError, match="is not an EST label"):
        Server.parse("plant", "cacerts")


@given(st.text(max_size=60))
def test_any_text_is_a_server_or_wrong_usage(text: str) -> None:
    """And a server's URL has no place for a password or a query."""
    try:
        server = Server.parse(text)
    except UsageError:
        return
    assert server.url.startswith("https://")
    assert not set(server.url) & set("@?# \r\n")
