"""docs/smartcards.md, "PKCS#11 and HSMs": the command line that is said not to work does not.

What is said to work needs OpenSSL's PKCS#11 provider, which Debian 12 has no package of: by hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec._cli.main import main
from tests.support import ca, serving, upper

from . import transcript
from .reading import sections

DOCUMENT = Path(__file__).parents[2] / "docs" / "smartcards.md"
_SHOWN_FOLDER = "/home/anna"


def test_a_uri_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code and the sentence are those that the document shows."""
    monkeypatch.chdir(tmp_path)
    certificate = upper.root().certificate
    Path("card.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    [section] = [one for one in sections(DOCUMENT) if one.title == "PKCS#11 and HSMs"]
    [block] = section.of("console")
    [command] = transcript.commands(block)
    ca.make(tmp_path / "ca")
    with serving.serving(tmp_path / "ca") as server:
        where = ["--server", f"127.0.0.1:{server.port}", "--trust", str(server.anchor)]
        code = main([*command.words[1:], *where, "--identity", "pc"])
    out, err = capsys.readouterr()
    assert code == command.code
    assert not transcript.differs(command.output, out, err.replace(str(tmp_path), _SHOWN_FOLDER))
