"""A PKCS#11 token of SoftHSM in a folder of its own, that can be pulled and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cipsec.token.module import module
from tests.support import programs

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "4711 plant"
_CONFIGURATION = "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n"


@dataclass(frozen=True, slots=True)
class SoftHsm:
    """A token named `plant`, its PIN in a file."""

    folder: Path

    @property
    def pin_file(self) -> Path:
        """The file with the PIN, for --passphrase-file."""
        return self.folder / "pin"

    def uri(self, key: str = "line-4", *, pin_source: bool = False, module: Path = MODULE) -> str:
        """Return the URI of a key on it."""
        more = f"&pin-source=file:{self.pin_file}" if pin_source else ""
        return f"pkcs11:token=plant;object={key}?module-path={module}{more}"

    def pull(self) -> None:
        """Take the token out, whoever uses it."""
        (self.folder / "tokens").rename(self.folder / "pulled")

    def put_back(self) -> None:
        """Put it in again."""
        (self.folder / "pulled").rename(self.folder / "tokens")

    def tool(self, *words: str) -> str:
        """Run OpenSC's pkcs11-tool on it, logged in, and return what it prints."""
        done = programs.run("pkcs11-tool", "--module", MODULE, "--token-label", "plant", "--login",
                            "--pin", PIN, *words)  # fmt: skip
        assert done.returncode == 0, done
        return done.stdout.decode()


@contextmanager
def token(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """Make a token, which this process and its children see inside the block."""
    programs.need("softhsm2-util", "pkcs11-tool")
    (folder / "tokens").mkdir(parents=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(_CONFIGURATION.format(folder / "tokens"))
    patch.setenv("SOFTHSM2_CONF", str(configuration))
    (folder / "pin").write_text(f"{PIN}\n")
    (folder / "pin").chmod(0o600)
    done = programs.run("softhsm2-util", "--init-token", "--free", "--label", "plant", "--pin", PIN,
                        "--so-pin", "so pin 4711")  # fmt: skip
    assert done.returncode == 0, done
    module(MODULE).restart()  # it may be another test's token that it knows
    yield SoftHsm(folder)
