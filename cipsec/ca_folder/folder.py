"""The CA's folder as a whole: what is set and recorded in it, and how it is opened.

Making one is left to `founding`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cipsec import files, ownership, shell
from cipsec.ca_folder.keyed import Keyed
from cipsec.current import CurrentFile
from cipsec.errors import LocalState, NotFound
from cipsec.ra import config
from cipsec.ra.allowlist.live import Allowlists
from cipsec.ra.external import Programs
from cipsec.ra.sources import Sources
from cipsec.ra.vendors.proving import Vendors
from cipsec.store.database import Database


@dataclass(frozen=True, slots=True)
class CaFolder(Keyed):
    """A CA's folder: paths, certificates, keys, settings and record."""

    def configuration(self) -> config.Config:
        """Return what ca.toml says; raise Malformed."""
        return config.load(self.config_file)

    def sources(self, database: Database) -> Sources:
        """Return where judgement looks things up, as the folder has it whenever it is asked."""
        issuer = CurrentFile(self.provisioning_certificate_file, self.provisioning_certificate)
        return Sources(
            database=database,
            cas=self.roots(),
            provisioning=issuer,
            vendors=Vendors(self.vendors_folder),
            lists=Allowlists(self.allowlists_folder),
            programs=Programs(self.path),
        )

    def store(self) -> Database:
        """Open the store; raise StoreFailed."""
        return Database.open(self.store_file)


def open_folder(path: Path | None) -> CaFolder:
    """Return the CA folder at `path`, or at the default place; raise NotFound or LocalState."""
    folder = CaFolder((path or files.default_ca()).absolute())
    try:
        is_there = folder.certificate_file.is_file()
    except OSError as error:
        hint = ownership.hint(folder.path) if isinstance(error, PermissionError) else None
        problem = f"{folder.path} cannot be used: {files.reason(error)}"
        raise LocalState(problem, hint=hint) from None
    if not is_there and folder.is_waiting():
        raise waiting(folder)
    if not is_there and files.exists(folder.certificate_file):
        raise LocalState(f"{folder.certificate_file} is not a file")
    if not is_there:
        raise NotFound(
            f"there is no CA in {folder.path}",
            hint="make one with: cipsec ca init, or name its folder with --ca-dir",
        )
    return folder


def waiting(folder: CaFolder) -> LocalState:
    """Return the error of an intermediate CA that has no certificate yet."""
    place = shell.quote(folder.path)
    return LocalState(
        f"the CA in {folder.path} waits for its certificate: have {folder.request_file} signed",
        hint=f"cipsec ca init --intermediate --certificate FILE --chain FILE --ca-dir {place}",
    )
