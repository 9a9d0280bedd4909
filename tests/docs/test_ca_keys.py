"""docs/ca-keys.md: every command line does what is shown, openssl's too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.serialization import pkcs12

from cipsec import founding, times
from cipsec._cli.main import main
from cipsec.pki import keys, names
from tests.support import administrator, ca, programs, softhsm, upper

from . import transcript
from .reading import Section, sections
from .transcript import Command

DOCUMENT = Path(__file__).parents[2] / "docs" / "ca-keys.md"
_SECTIONS = [section for section in sections(DOCUMENT) if section.of("console")]
_SHOWN_FOLDER = "/srv/line-4"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What the examples begin with: passphrases, the company's root, an old CA, a token."""
    administrator.be(monkeypatch, "anna")
    monkeypatch.setenv("CIPSEC_CA_DIR", str(tmp_path / "ca"))
    monkeypatch.chdir(tmp_path)
    for name in ("passphrase", "new-passphrase", "old-passphrase"):
        Path(name).write_text(f"{name} horse\n")
    _company(Path("root.pem"), Path("root.key"))
    old = upper.root("CN=Old Line", days=(-1, 400))
    encryption = form.BestAvailableEncryption(b"old-passphrase horse")
    Path("old-ca.p12").write_bytes(
        pkcs12.serialize_key_and_certificates(b"ca", old.key, old.certificate, None, encryption)
    )
    ca.write_pem(Path("drive-7.csr"), ca.request())
    with softhsm.token(tmp_path / "hsm", monkeypatch) as hsm:
        Path("pin").write_bytes(hsm.pin_file.read_bytes())
        yield tmp_path


def _company(certificate: Path, key: Path) -> None:
    root = upper.root("CN=Works Root")
    upper.write(certificate, root.certificate)
    pkcs8, plain = form.PrivateFormat.PKCS8, form.NoEncryption()
    key.write_bytes(root.key.private_bytes(form.Encoding.PEM, pkcs8, plain))


def run(command: Command, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run a command of ours in process, one of openssl as what it is."""
    if command.words[0] == "openssl":
        programs.need("openssl")
        done = programs.run(*command.words)
        return done.returncode, "", ""
    assert command.words[0] == "cipsec"
    code = main(list(command.words[1:]))
    return code, *capsys.readouterr()


@pytest.mark.parametrize("section", _SECTIONS, ids=str)
def test_commands_do_what_is_shown(
    section: Section, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The console blocks of a section, one after the other: exit codes and output."""
    if section.title == "Another passphrase":
        _make(desk / "ca")
    if section.title == "The next key of an intermediate CA":
        _make_below(desk / "ca")
    for block in section.of("console"):
        for command in transcript.commands(block):
            code, *printed = run(command, capsys)
            out, err = (text.replace(str(desk / "ca"), _SHOWN_FOLDER) for text in printed)
            assert code == command.code, (command.where, out, err)
            difference = command.output and transcript.differs(command.output, out, err)
            assert not difference, (command.where, difference)


def _make(place: Path) -> None:
    founding.create(
        place,
        name="Line 4",
        subject=names.parse_subject("CN=Line 4"),
        key_type=keys.KeyType.EC_P256,
        validity=timedelta(days=9),
        passphrase="passphrase horse",
        hosts=[],
        policy="approval",
        now=times.now(),
    )


def _make_below(place: Path) -> None:
    """Make an intermediate CA below the company's root, in use."""
    argv = ["ca", "init", "--intermediate"]
    assert main([*argv, "--name", "Line 4", "--passphrase-file", "passphrase"]) == 0
    [root] = x509.load_pem_x509_certificates(Path("root.pem").read_bytes())
    loaded = form.load_pem_private_key(Path("root.key").read_bytes(), None)
    own = upper.Ca(loaded, root).answer(place / "ca.csr", days=(-1, 400))
    upper.write(Path("own.pem"), own)
    assert main([*argv, "--certificate", "own.pem", "--chain", "root.pem"]) == 0


def test_no_command_line_is_left_out() -> None:
    """Whatever looks like a command of ours in a block is in a console block, which is run."""
    for section in sections(DOCUMENT):
        for block in section.blocks:
            if block.language != "console":
                assert "cipsec " not in block.text, section.title


def test_options_exist() -> None:
    """Options that the text mentions are those of the commands that it is about."""
    prose = re.sub(r"```.*?```", "", DOCUMENT.read_text(), flags=re.DOTALL)
    source = "".join(
        path.read_text() for path in (Path(__file__).parents[2] / "cipsec" / "_cli").glob("*.py")
    )
    for option in set(re.findall(r"`(--[a-z-]+)[` ]", prose)):
        assert f'"{option}"' in source, option
