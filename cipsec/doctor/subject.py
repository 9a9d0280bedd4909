"""The CA that is looked at: its folder, what its ca.toml says, its record, and the time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cipsec import files, shell
from cipsec.ca_folder import CaFolder
from cipsec.errors import LocalState, Malformed
from cipsec.ra.config import Config, ServerConfig
from cipsec.serve.running import is_running
from cipsec.store.readonly import ReadOnly


@dataclass(frozen=True, slots=True)
class Ca:
    """One CA; `config` and `record` are None where they cannot be used, as other checks say.

    `running` tells whether a server runs on it, None where that cannot be told.
    """

    folder: CaFolder
    now: datetime
    config: Config | None
    record: ReadOnly | None
    running: bool | None

    @property
    def lists(self) -> Path:
        """The folder of the allowlists."""
        return self.folder.allowlists_folder

    @property
    def vendors(self) -> Path:
        """The folder of the vendors."""
        return self.folder.vendors_folder

    @property
    def server(self) -> ServerConfig:
        """The table `[server]`, or what holds where it is not there."""
        return self.config.server if self.config else ServerConfig()


def at(folder: CaFolder, now: datetime) -> Ca:
    """Return the CA of a folder; nothing that is wrong with it is an error here."""
    return Ca(folder, now, _config(folder), _record(folder), _running(folder))


def is_there(folder: CaFolder) -> bool:
    """Tell whether there is a CA, whole or not; raise LocalState where that cannot be told.

    And where one of its files is none: to read a pipe would be to wait for its other end.
    """
    own = (folder.config_file, folder.certificate_file, folder.key_file, folder.store_file)
    others = (
        folder.server_certificate_file,
        folder.server_key_file,
        folder.provisioning_certificate_file,
        folder.provisioning_key_file,
        folder.crl_file,
    )
    for path in (*own, *others):
        if files.exists(path) and not path.is_file():
            raise Malformed(
                f"{path} is not a file", hint=shell.command("ls -ld", path, windows="dir")
            )
    return any(files.exists(path) for path in own)


def _config(folder: CaFolder) -> Config | None:
    try:
        return folder.configuration()
    except (LocalState, RecursionError):
        return None


def _record(folder: CaFolder) -> ReadOnly | None:
    record = ReadOnly(folder.store_file)
    try:
        record.require_schema()
    except LocalState:
        return None
    return record


def _running(folder: CaFolder) -> bool | None:
    try:
        return is_running(folder)
    except OSError:
        return None
