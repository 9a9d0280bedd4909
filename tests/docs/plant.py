"""The plant of the documents' examples: a CA, a vendor, drives, a PC; and a server when asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.ca_folder import CaFolder
from cipsec.pki import csr, keys, names
from cipsec.ra import templates
from tests.support import ca, serving, vendor
from tests.support.vendor import Party

PROGRAMS = "/usr/local/lib/cipsec"  # where the document has its programs, and we have not
DEVICES = {"drive-7": "0001:6040C8F2", "drive-8": "0001:6040C8F3"}
_ERP = (
    "Plant;Vendor;Serial no.;Place\n"
    "4;0001;6040C8F2;Cabinet 7\n"
    "4;0001;6040C8F3;Cabinet 8\n"
    "4;0001;60401234;Cabinet 9\n"
)
_RENEWAL = '[[rule]]\nname = "renewal"\nwhen = { own = true }\nthen = "grant"\n'
_ASK = '[[rule]]\nname = "everyone else"\nwhen = { anyone = true }\nthen = "ask"\n'
_LAST = "# the last rule"  # as the document says where it shows all of the table's end
_HEAD = 'name = "Line 4"\n'
_LABELS = '[server]\nlabels = ["line-3"]\n'


class Plant:
    """A folder with everything that the examples name, as the document says it is."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.ca: CaFolder = ca.make(folder / "ca")
        self._stack = stack
        self._server: serving.Serving | None = None
        self._make_vendor()
        (folder / "ca.pem").write_bytes(self.ca.certificate_file.read_bytes())
        (folder / "erp.csv").write_text(_ERP)
        self._ask("pc", "CN=pc-17,OU=Engineering", "dns:pc-17.plant.example")

    def _make_vendor(self) -> None:
        root = vendor.ca("Acme Root")
        issuing = vendor.ca("Acme Devices", root)
        (self.folder / "acme.pem").write_bytes(root.pem)
        (self.folder / "acme.crl").write_bytes(vendor.crl(issuing))
        for name, number in DEVICES.items():
            self._write(name, vendor.device(issuing, number), issuing)
            self._ask(name, f"CN=Drive {name[-1]},serialNumber={number}")
        nine = vendor.issue("OU=SN 1614858484,CN=Drive,O=Acme", issuing)
        self._write("drive-9", nine, issuing)
        self._ask("drive-9", "CN=Drive 9")
        self._write("self-7", vendor.device(None, DEVICES["drive-7"]))

    def _write(self, name: str, party: Party, *chain: Party) -> None:
        pem = b"".join(one.pem for one in (party, *chain))
        (self.folder / f"{name}.pem").write_bytes(pem)
        (self.folder / f"{name}.key").write_bytes(keys.to_pem(party.key))

    def _ask(self, name: str, subject: str, *sans: str) -> None:
        key = keys.generate(keys.KeyType.EC_P256)
        parsed = [names.parse_san(text) for text in sans]
        request = csr.build(key, names.parse_subject(subject), sans=parsed)
        (self.folder / f"{name}.csr").write_bytes(request.public_bytes(Encoding.PEM))

    def configure(self, fragment: str) -> None:
        """Put rules into ca.toml, between the two that stand in every example."""
        self.ca.config_file.write_text(self.whole(fragment))

    def whole(self, fragment: str) -> str:
        """Return the ca.toml of an example."""
        head = _HEAD if "[server]" in fragment else _HEAD + _LABELS
        ask = "" if _LAST in fragment or "anyone = true" in fragment else _ASK
        return head + _RENEWAL + fragment.replace(PROGRAMS, str(self.folder)) + ask

    def program(self, name: str, text: str) -> None:
        """Install a program, to be run by this interpreter."""
        path = self.folder / name
        path.write_text(f"#!{sys.executable}\n{text.partition(chr(10))[2]}")
        path.chmod(0o755)

    def server(self) -> str:
        """Return where the CA's server is, which runs from the first time on."""
        if self._server is None:
            self._server = self._stack.enter_context(serving.serving(self.ca.path))
        return f"127.0.0.1:{self._server.port}"


@contextmanager
def plant(folder: Path) -> Iterator[Plant]:
    """Yield a plant in a folder; its server ends with the block."""
    (folder / "ca").parent.mkdir(exist_ok=True)
    with ExitStack() as stack:
        made = Plant(folder, stack)
        lists = made.ca.path / "allowlists"
        (lists / "default.csv").write_text(templates.ALLOWLIST)
        yield made
