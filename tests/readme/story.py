"""Runs every `cipsec` line of the README, in its order, as a new user would: python -m … FOLDER

The lines are taken from the README; only what stands for something that differs each time (a
request's id, a fingerprint, an address) is put in. Questions are answered at a terminal. The server
runs with its default port and announces itself, so the story wants a network of its own.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from tests.support import vendor
from tests.support.terminal import Session, at_terminal

_README = Path(__file__).parents[2] / "README.md"
_PASSPHRASE, _PASSWORD = "correct horse\n", "battery staple\n"


def shown() -> list[str]:
    """Return the command lines in the README's console blocks, without the prompt."""
    blocks = re.findall(r"```console\n(.*?)```", _README.read_text(), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


class Story:
    """What the lines need to be run, and what they left behind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        """End the server, which would go on."""
        for server in self._servers:
            server.terminate()

    def run(self, line: str) -> None:
        """Run one line; raise AssertionError when it does not end as it should."""
        words = shlex.split(self._filled(line))
        assert words[0] == "cipsec", line
        special: Callable[[list[str]], None] | None = getattr(
            self, "_" + "_".join(re.findall(r"\w+", " ".join(words[1:3]))), None
        )
        print(f"$ {line}", flush=True)
        (special or self._plain)(words[1:])

    def _filled(self, line: str) -> str:
        """Put in what the README has a placeholder for."""
        line = line.replace("192.168.1.5:8443", "127.0.0.1:8443")
        if "5f3c0a9b71d2" in line:
            line = line.replace("5f3c0a9b71d2", self._json("ca", "pending")["requests"][0]["id"])
        if "7b0c…" in line:
            line = line.replace("7b0c…", self._json("ca", "show")["ca"]["sha256"])
        return line

    def _plain(self, words: list[str]) -> None:
        self._ends(at_terminal(words))

    def _ends(self, session: Session, *codes: int) -> None:
        print(session.screen, flush=True)
        assert session.code in (codes or (0,)), session.code

    def _ca_init(self, words: list[str]) -> None:
        typed = ("Passphrase of the CA's key: ", _PASSPHRASE)
        again = ("Passphrase of the CA's key again: ", _PASSPHRASE)
        self._ends(at_terminal(words, typed, again))

    def _ca_serve(self, words: list[str]) -> None:
        """Start the server and go on once it is ready; it ends with the story."""
        ready = self._folder / "ready.json"
        given = [*words, "--ready-file", str(ready)]
        asked = ("Passphrase of the CA's key: ", _PASSPHRASE)
        # It has nothing to say for as long as nobody asks it for anything.
        run = partial(at_terminal, given, asked, started=self._servers.append, patience=math.inf)
        server = threading.Thread(target=run, daemon=True)
        server.start()
        while not ready.exists():
            assert server.is_alive(), "the server ended"
            time.sleep(0.1)

    def _user_add(self, words: list[str]) -> None:
        typed = () if "--generate" in words else (("assword", _PASSWORD), ("again", _PASSWORD))
        self._ends(at_terminal(words, *typed))

    def _ca_pending(self, words: list[str]) -> None:
        """A drive asks before anybody looks."""
        anchor = str(Path(os.environ["CIPSEC_CA_DIR"]) / "ca.pem")
        asks = ["enroll", "--server", "127.0.0.1", "--trust", anchor, "--subject", "CN=Drive 7",
                "--identity", str(self._folder / "drive"), "--no-wait"]  # fmt: skip
        self._ends(at_terminal(asks), 11)
        self._plain(words)

    def _policy_check(self, words: list[str]) -> None:
        """The CSR is the one that the README makes further down; 11 says "it would be asked"."""
        line = next(line for line in shown() if line.startswith("cipsec csr create"))
        self._plain(shlex.split(line)[1:])
        self._ends(at_terminal(words), 11)
        (self._folder / words[-1]).unlink()

    def _discover(self, words: list[str]) -> None:
        """Longer than by default: other tests run beside it."""
        self._plain([*words, "--timeout", "10"])

    def _enroll_fingerprint(self, words: list[str]) -> None:
        self._ends(at_terminal(words, ("assword", _PASSWORD)))

    def _vendor_add(self, words: list[str]) -> None:
        """The vendor's root as the vendor would send it; a person compares its fingerprint."""
        (self._folder / words[2]).write_bytes(vendor.make().root.pem)
        self._ends(at_terminal(words, ("[y/N]", "y\n")))

    def _allowlist_import(self, words: list[str]) -> None:
        (self._folder / words[2]).write_text("Vendor,Serial,Place\n0001,6040C8F3,Cabinet 8\n")
        self._plain(words)

    def _ca_provision(self, words: list[str]) -> None:
        self._ends(at_terminal(words, ("Passphrase of the CA's key: ", _PASSPHRASE)))

    def _ca_report(self, words: list[str]) -> None:
        self._ends(at_terminal(words, ("Passphrase of the CA's key: ", _PASSPHRASE)))

    def _ca_backup(self, words: list[str]) -> None:
        typed = ("Passphrase of the backup: ", _PASSPHRASE)
        self._ends(at_terminal(words, typed, ("again: ", _PASSPHRASE)))

    def _ca_rollover(self, words: list[str]) -> None:
        self._ends(at_terminal(words, ("Passphrase of the CA's key: ", _PASSPHRASE)))

    def _ca_revoke(self, words: list[str]) -> None:
        self._ends(at_terminal(words, ("[y/N]", "y\n")))

    def _ca_watch(self, words: list[str]) -> None:
        """Somebody looks, and quits."""
        self._ends(at_terminal(words, ("Waiting", "q")))

    def _cert_verify(self, words: list[str]) -> None:
        for name, place in (("ca.pem", "CIPSEC_CA_DIR"), ("certificate.pem", "CIPSEC_IDENTITY")):
            (self._folder / name).write_bytes((Path(os.environ[place]) / name).read_bytes())
        self._plain(words)

    def _json(self, *words: str) -> Any:
        command = [sys.executable, "-m", "cipsec", *words, "--json"]
        done = subprocess.run(command, check=True, capture_output=True)
        return json.loads(done.stdout)


def main(folder: Path) -> int:
    """Run the story in `folder`."""
    os.environ |= {"CIPSEC_CA_DIR": str(folder / "ca"), "CIPSEC_IDENTITY": str(folder / "identity")}
    os.chdir(folder)
    with closing(Story(folder)) as story:
        for line in shown():
            if line.startswith("cipsec "):
                story.run(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
