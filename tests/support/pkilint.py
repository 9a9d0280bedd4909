"""pkilint, the linter for certificates and CRLs, as a judge: many documents in one process.

It has an environment of its own, which tests/run makes, for it wants other versions of the
libraries than cipsec. What is a finding here is one of severity warning or above.
"""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

_PYTHON = Path(__file__).parents[2] / ".pkilint-venv" / "bin" / "python"

# Run by the Python of that environment: each document as pkilint's own commands would take it.
_SCRIPT = """
import base64, contextlib, io, json, sys, tempfile
from pkilint.bin import lint_crl, lint_pkix_cert, lint_pkix_signer_signee_cert_chain as pair

RUNS = {"certificate": (lint_pkix_cert, []), "crl": (lint_crl, ["-t", "CRL", "-p", "PKIX"]),
        "pair": (pair, [])}

def lint(kind, documents):
    module, options = RUNS[kind]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out:
        paths = [f"{folder}/{number}" for number in range(len(documents))]
        for path, text in zip(paths, documents):
            with open(path, "wb") as file:
                file.write(base64.b64decode(text))
        module.main(["lint", "-s", "WARNING", "-f", "JSON", "--document-format", "DER",
                     *options, *paths])
    return json.loads(out.getvalue())["results"]

asked = json.load(sys.stdin)
json.dump([lint(kind, documents) for kind, documents in asked], sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What pkilint has to say of one place in a document."""

    severity: str
    code: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity} {self.code} at {self.place}: {self.message}"


def findings(
    *,
    certificates: Mapping[str, bytes] | None = None,
    crls: Mapping[str, bytes] | None = None,
    pairs: Mapping[str, tuple[bytes, bytes]] | None = None,
) -> dict[str, list[Finding]]:
    """Return what pkilint finds in documents in DER, by the name that each is given here.

    `pairs` are a CA's certificate and one that it issued, looked at together. An empty list is a
    clean document.
    """
    asked = [(name, "certificate", [der]) for name, der in (certificates or {}).items()]
    asked += [(name, "crl", [der]) for name, der in (crls or {}).items()]
    asked += [(name, "pair", list(both)) for name, both in (pairs or {}).items()]
    results = _run([(kind, documents) for _, kind, documents in asked])
    return {
        name: [finding for result in found for finding in _read(result)]
        for (name, _, _), found in zip(asked, results, strict=True)
    }


def _run(asked: list[tuple[str, list[bytes]]]) -> list[list[dict[str, object]]]:
    if not _PYTHON.exists():
        pytest.fail("pkilint is not installed; run ./tests/run, which installs it")
    sent = [(kind, [b64encode(der).decode() for der in documents]) for kind, documents in asked]
    done = subprocess.run(
        [_PYTHON, "-c", _SCRIPT],
        input=json.dumps(sent),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: list[list[dict[str, object]]] = json.loads(done.stdout)
    return results


def _read(result: dict[str, object]) -> list[Finding]:
    described = result["finding_descriptions"]
    assert isinstance(described, list)
    place = str(result["node_path"])
    return [Finding(one["severity"], one["code"], place, one["message"] or "") for one in described]
