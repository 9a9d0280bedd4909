"""`--hook` and `--no-try` as transcripts: streams, exit codes, what is in use afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from tests.cli.endpoint.acting import KEYS, Run, enroll
from tests.support.canned import EstServer, text


def program(path: Path, lines: str) -> Path:
    """Write a shell script that can be run."""
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


def test_what_the_hook_says_is_conversation(
    run: Run, server: EstServer, home: Path, tmp_path: Path
) -> None:
    """It goes to stderr; stdout carries one JSON object and nothing else."""
    assert run(*enroll(server))[0] == 0
    hook = program(tmp_path / "hook", 'echo "out of $1"; echo err >&2')
    command = ["renew", "--identity", str(home), "--json", "--hook", f"{hook} 'the hook'"]
    done = subprocess.run(
        [sys.executable, "-m", "cipsec", *command], capture_output=True, text=True, check=True
    )
    assert list(json.loads(done.stdout)["identity"]) == KEYS
    assert done.stderr == f"cipsec: running the hook {hook} 'the hook'\nout of the hook\nerr\n"


def test_a_hook_that_fails(run: Run, server: EstServer, home: Path, tmp_path: Path) -> None:
    """Exit code 6, after a renewal and until it succeeds; the new certificate is in use."""
    hook = program(tmp_path / "hook", "exit 3")
    assert run(*enroll(server, "--hook", str(hook)))[0] == 6
    code, out, err = run("renew", "--if-due", "--hook", str(hook), "--json")
    assert code == 6
    assert json.loads(out)["error"]["kind"] == "hook_failed"
    code, out, err = run("renew", "--if-due", "--hook", str(hook))
    again = f"cipsec renew --if-due --identity {home}"
    assert (code, out) == (6, "")
    assert err.splitlines()[1:] == [
        f"cipsec: running the hook {hook}",
        f"cipsec: error: the new certificate is in use, and its hook {hook} ended with exit code 3",
        f"cipsec: hint: mend it; `{again}` with the same --hook runs it again",
    ]
    assert run("status")[0] == 0
    program(hook, "exit 0")
    assert run("renew", "--if-due", "--hook", str(hook))[0] == 0
    code, _, err = run("renew", "--if-due", "--hook", str(hook))
    assert (code, len(err.splitlines())) == (0, 1)  # not due, and nothing is run


def test_no_such_hook(run: Run, server: EstServer, home: Path) -> None:
    """Is said before anything is asked for."""
    code, _, err = run(*enroll(server, "--hook", "/no/such"))
    assert code == 2
    assert "there is no program /no/such that could be run as hook" in err
    assert run(*enroll(server, "--hook", "true", "--hook-timeout", "soon"))[0] == 2
    assert not home.exists()
    assert not server.seen


def test_a_certificate_that_does_not_serve(run: Run, server: EstServer) -> None:
    """The exit code is that of what went wrong; `status` knows; --no-try takes it all the same."""
    assert run(*enroll(server))[0] == 0
    old = json.loads(run("status", "--json")[1])["identity"]["serial"]
    first = server.issued[-1].public_bytes(Encoding.DER)
    server.answers["cacerts"] = lambda seen: (
        server.default(seen) if seen.client in {None, first} else text(401, "who are you")
    )
    code, out, err = run("renew")
    assert (code, out) == (13, "")
    assert "the new certificate was tried and does not serve" in err
    assert "with --no-try it is taken into use as it is" in err
    status = json.loads(run("status", "--json")[1])["identity"]
    assert status["serial"] == old
    assert "does not serve" in status["pending"]["reason"]
    assert run("renew", "--no-try")[0] == 0
    assert len(server.issued) == 2
    status = json.loads(run("status", "--json")[1])["identity"]
    assert (status["serial"] != old, status["pending"]) == (True, None)
