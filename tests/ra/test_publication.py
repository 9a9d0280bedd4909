"""The table [crl] of ca.toml: what it may say, and what is refused in a sentence."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cipsec.errors import Malformed
from cipsec.ra import config
from cipsec.ra.publication import CrlConfig

_REST = '[[rule]]\nname = "a"\nwhen = { own = true }\nthen = "grant"\n'


def parse(table: str) -> CrlConfig:
    """Return what a ca.toml with this table says."""
    return config.parse(f"[crl]\n{table}\n{_REST}".encode()).crl


def test_default() -> None:
    """Without the table, and with an empty one: a week, published nowhere."""
    assert config.parse(_REST.encode()).crl == parse("") == CrlConfig()
    assert CrlConfig() == CrlConfig(timedelta(days=7), None, None)
    assert CrlConfig().paths("") == {"/ca.crl"}


def test_back_dated_as_certificates() -> None:
    """By one setting: who takes the certificate takes the list."""
    table = '[certificate]\nbackdate = "3h"\n'
    assert config.parse(f"{table}{_REST}".encode()).crl.backdate == timedelta(hours=3)
    assert parse("").backdate == config.parse(_REST.encode()).certificate.backdate


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://crl.plant.example/ca.crl", "/ca.crl"),
        ("http://crl.plant.example:8080/a/b.crl", "/a/b.crl"),
        ("http://192.168.1.5:8080", "/"),  # what whoever follows it asks for
        ("http://[fd00::5]:8080/x", "/x"),
    ],
)
def test_urls(url: str, path: str) -> None:
    """Of plain HTTP, with name or address."""
    found = parse(f'url = "{url}"')
    assert (found.url, found.paths("")) == (url, {path, "/ca.crl"})


@pytest.mark.parametrize("listen", ["192.168.1.5:8080", "[fd00::5]:80", ":8080", "8080", "all:80"])
def test_listen(listen: str) -> None:
    """As `ca serve --listen` takes it, but for a port of 0: certificates name it."""
    assert parse(f'listen = "{listen}"').listen == listen


@pytest.mark.parametrize(
    "table",
    [
        'url = "https://crl.plant.example/ca.crl"',
        'url = "ldap://crl.plant.example/ca.crl"',
        'url = "crl.plant.example/ca.crl"',
        'url = "http:///ca.crl"',
        'url = "http://a b/ca.crl"',
        'url = "http://user@host/ca.crl"',
        'url = "http://host/ca.crl?x=1"',
        'url = "http://host/ca.crl#x"',
        'url = "http://host:99999/ca.crl"',
        'url = "http://host:0/ca.crl"',
        'url = "http://host/dr\\u00fcben.crl"',
        'url = "http://host/\\u001b[2K"',
        f'url = "http://host/{"x" * 200}"',
        'url = "http://[fd00::5/ca.crl"',
        "url = 5",
        'listen = "here:8080"',
        'listen = "192.168.1.5"',
        'listen = "192.168.1.5:0"',
        'listen = "192.168.1.500:80"',
        'listen = ":65536"',
        'listen = "[::1]"',
        "listen = 8080",
        'validity = "1m"',
        'validity = "0s"',
        'validity = "3651d"',
        'validity = "soon"',
        'path = "/ca.crl"',
    ],
)
def test_refused(table: str) -> None:
    """With one line that names the table or the key; nothing strange is repeated unmade."""
    with pytest.raises(Malformed) as raised:
        parse(table)
    assert raised.value.message.isprintable()
    assert any(word in raised.value.message for word in ("crl", "url", "listen", "validity"))
