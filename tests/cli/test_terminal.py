"""Questions go to the terminal, also where stdin, stdout or stderr lead elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder
from tests.support import ca
from tests.support.terminal import at_terminal

from .conftest import Cipsec

PASSPHRASE = "correct horse"


@pytest.fixture
def alice(on_ca: Cipsec, tmp_path: Path) -> Cipsec:
    """The CA with a user of that name."""
    (tmp_path / "pw").write_text("battery staple\n")
    assert on_ca("user", "add", "alice", "--password-file", tmp_path / "pw").code == 0
    return on_ca


def test_a_log_on_stderr_keeps_nobody_from_being_asked(
    alice: Cipsec, ca_folder: CaFolder, tmp_path: Path
) -> None:
    """`cipsec user remove alice > result 2> log`: the question is on the terminal alone."""
    remove = ["user", "remove", "alice", "--ca-dir", str(ca_folder.path)]
    with (tmp_path / "result").open("wb") as out, (tmp_path / "log").open("wb") as log:
        ran = at_terminal(
            remove,
            ("Remove the user alice? [y/N] ", "y\n"),
            elsewhere={"stdout": out, "stderr": log},
        )
    assert ran.code == 0
    assert (tmp_path / "log").read_bytes() == b""
    assert (tmp_path / "result").read_text().startswith("alice\t")
    assert alice("user", "list").out == ""


def test_what_a_question_is_about_is_shown_where_it_is_asked(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path
) -> None:
    """With a log on stderr, and with -q, which is for the conversation."""
    asked = ca.request("CN=Drive 7")
    on_ca("ca", "approve", ca.ask(ca_folder, asked))
    ca.receive(ca_folder, asked)
    serial = on_ca("ca", "list", "--json").json["certificates"][0]["serial"]
    revoke = ["ca", "revoke", serial, "--ca-dir", str(ca_folder.path)]
    for options, streams in (([], ["stderr"]), (["-q"], [])):
        with (tmp_path / "log").open("wb") as log:
            ran = at_terminal(
                [*revoke, *options],
                ("Revoke this certificate for good? [y/N] ", "n\n"),
                elsewhere=dict.fromkeys(streams, log),
            )
        assert ran.code == 10
        assert "CN=Drive 7" in ran.screen.partition("Revoke this")[0]


def test_data_on_stdin_is_not_taken_for_the_answer(
    alice: Cipsec, ca_folder: CaFolder, tmp_path: Path
) -> None:
    """`while read name; do cipsec user remove $name; done < names`: it eats no name."""
    remove = ["user", "remove", "alice", "--ca-dir", str(ca_folder.path)]
    (tmp_path / "names").write_text("y\n")
    with (tmp_path / "names").open("rb") as names:
        ran = at_terminal(
            remove, ("Remove the user alice? [y/N] ", "n\n"), elsewhere={"stdin": names}
        )
        assert os.lseek(names.fileno(), 0, os.SEEK_CUR) == 0
    assert ran.code == 10
    assert alice("user", "list").out.startswith("alice\t")


def test_a_passphrase_is_asked_for_beside_a_request_by_pipe(tmp_path: Path) -> None:
    """`ssh drive cat request.csr | cipsec ca issue -`."""
    folder = ca.make(tmp_path / "ca", passphrase=PASSPHRASE)
    csr = ca.write_pem(tmp_path / "x.csr", ca.request("CN=Drive 7"))
    with subprocess.Popen(["cat", csr], stdout=subprocess.PIPE) as pipe:
        assert pipe.stdout is not None
        ran = at_terminal(
            ["ca", "issue", "-", "--ca-dir", str(folder.path)],
            ("Passphrase of the CA's key: ", f"{PASSPHRASE}\n"),
            elsewhere={"stdin": pipe.stdout},
        )
    assert ran.code == 0
    assert "-----BEGIN CERTIFICATE-----" in ran.screen


def test_nothing_is_asked_of_whoever_gives_nothing(
    alice: Cipsec, ca_folder: CaFolder, tmp_path: Path
) -> None:
    """stdin from /dev/null, or `--no-input`, at a terminal too; and without one, of course."""
    remove = ["user", "remove", "alice", "--ca-dir", str(ca_folder.path)]
    with Path(os.devnull).open("rb") as nothing:
        ran = at_terminal(remove, elsewhere={"stdin": nothing})
    assert (ran.code, ran.screen.splitlines()[-1]) == (2, "cipsec: hint: add -y")
    assert at_terminal([*remove, "--no-input"]).code == 2
    with (tmp_path / "log").open("wb") as log:
        piped = subprocess.run(
            [sys.executable, "-m", "cipsec", *remove],
            input=b"y\n",
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=False,
        )
    assert piped.returncode == 2
    assert alice("user", "list").out.startswith("alice\t")


def test_a_command_behind_the_shell_is_not_stopped_by_a_question(ca_folder: CaFolder) -> None:
    """`cipsec … &`: whoever reads from the terminal there is stopped, and nobody sees why."""
    program = (
        "import os, sys, time\n"
        "from cipsec._cli.talk import Talk\n"
        "before = Talk().interactive\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os.setpgid(0, 0)\n"
        "    os._exit(Talk().interactive)\n"
        "print(before, os.waitpid(pid, 0)[1])\n"
    )
    ran = at_terminal([], program=program)
    assert ran.screen == "True 0\n"


@pytest.mark.parametrize("answer", ["", "n\n"])
def test_the_json_of_a_no_has_the_key_all_the_same(
    alice: Cipsec, ca_folder: CaFolder, tmp_path: Path, answer: str
) -> None:
    """Empty: nothing was removed."""
    remove = ["user", "remove", "alice", "--json", "--ca-dir", str(ca_folder.path)]
    with (tmp_path / "result").open("wb") as out:
        ran = at_terminal(remove, ("[y/N] ", answer or "\x04"), elsewhere={"stdout": out})
    assert ran.code == 10
    assert (tmp_path / "result").read_text() == '{\n  "users": []\n}\n'
    assert alice("user", "list").out.startswith("alice\t")
