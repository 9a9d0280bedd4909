"""What a certificate of this CA proves once the `[[identity]]` rules were changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cipsec.pki.device import Identity
from cipsec.pki.identity import DEFAULT, parse_rules
from cipsec.pki.identity import Rules as Reading
from cipsec.ra.presented import look_at
from tests.support import ca, est
from tests.support.est import Server

_WORDS = "(?P<vendor>[0-9A-F]{4})-(?P<serial>[0-9A-F]{8})"
_UNIT = {"name": "unit", "selector": "subject:OU", "pattern": _WORDS, "base": "hex"}
_SAME = {"name": "same", "selector": "subject:CN", "pattern": _WORDS.replace(")-(", "):(")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A CA with a record, and the default rules."""
    with est.serving(tmp_path_factory.mktemp("rules")) as server:
        yield server


def proved_by(server: Server, subject: str, rules: Reading) -> Identity:
    """Return what a certificate, issued while the default rules applied, proves by `rules`."""
    certificate = server.record(ca.request(subject))
    return look_at([est.der(certificate)], rules, server.sources, server.now).proved


def test_what_is_read_only_now_is_not_proved(server: Server) -> None:
    """A device put a second name where nobody looked then, and nobody has vouched for it."""
    subject = "CN=0001:6040C8F2,OU=0001-6040C8F3"
    assert proved_by(server, subject, parse_rules([_UNIT])) == Identity()
    assert proved_by(server, "CN=Drive 7,OU=0001-6040C8F3", parse_rules([_UNIT])) == Identity()


def test_what_is_read_otherwise_now_is_proved(server: Server) -> None:
    """The same device, found by another rule, is the one that was vouched for."""
    subject = "CN=0001:6040C8F2"
    same = parse_rules([_SAME | {"base": "hex"}])
    assert proved_by(server, subject, same) == proved_by(server, subject, DEFAULT) != Identity()
