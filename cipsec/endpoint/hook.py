"""A program of the operator's, run once a new certificate is in use: it restarts, copies, tells.

Run without a shell, told paths and no key, bounded in time. That it is owed is noted in the
identity folder, and so it survives a power cut; what to run is not, for whoever may write there
would choose what others run.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from cipsec import files, shell
from cipsec.endpoint.folder import Folder, Identity
from cipsec.endpoint.trust import Person
from cipsec.errors import HookFailed, UsageError
from cipsec.pki.names import show_serial
from cipsec.times import show_duration, show_time

LONGEST = timedelta(minutes=1)  # unless another time is said

_STDERR = 2  # the program's output is conversation; stdout carries the result and nothing else
_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Hook:
    """A program and its arguments, and how long it may take."""

    argv: tuple[str, ...]
    limit: timedelta = LONGEST

    @classmethod
    def parse(cls, text: str, limit: timedelta = LONGEST) -> Hook:
        """Read `PROGRAM ARGUMENT…`, quoted as in a shell; raise UsageError.

        On Windows a backslash is a part of a path.
        """
        words = shlex.shlex(text, posix=True, punctuation_chars=False)
        words.whitespace_split, words.commenters = True, ""
        words.escape = "" if os.name == "nt" else "\\"
        try:
            argv = tuple(words)
        except ValueError as error:
            why = str(error).lower()
            raise UsageError(f"the hook {text!r} cannot be read: {why}") from None
        if not argv or "\0" in text:
            raise UsageError("the hook names no program", hint='write --hook "/path/of/program x"')
        if not limit:
            raise UsageError("the hook needs some time", hint="write e.g. --hook-timeout 1m")
        return cls(argv, limit)

    def require(self) -> None:
        """Raise UsageError where there is no such program, before anything is asked for."""
        if shutil.which(self.argv[0]) is None:
            raise UsageError(
                f"there is no program {self.argv[0]} that could be run as hook",
                hint="write its absolute path, and make it executable",
            )

    def __str__(self) -> str:
        return shell.join(self.argv)


def settle(folder: Folder, identity: Identity, hook: Hook | None, person: Person) -> None:
    """Run the hook if it is owed, and note that it ran; raise HookFailed.

    Without one only say that it is owed.
    """
    if not folder.hook_owed():
        return
    if hook is None:
        person.warn("the hook has not succeeded since this certificate came: give --hook again")
        return
    person.tell(f"running the hook {hook}")
    why = _run(hook, _environment(identity))
    if why is not None:
        again = f"cipsec renew --if-due --identity {shell.quote(folder.path)}"
        raise HookFailed(
            f"the new certificate is in use, and its hook {hook.argv[0]} {why}",
            hint=f"mend it; `{again}` with the same --hook runs it again",
        )
    folder.hook_done()


def _environment(identity: Identity) -> Mapping[str, str]:
    """Return the environment: ours, and where the identity is; never what is in the key."""
    certificate = identity.issued.certificate
    return {
        **os.environ,
        "CIPSEC_IDENTITY": str(identity.directory),
        "CIPSEC_KEY": str(identity.key_file),
        "CIPSEC_CERTIFICATE": str(identity.certificate_file),
        "CIPSEC_CHAIN": str(identity.chain_file),
        "CIPSEC_TRUST": str(identity.trust_file),
        "CIPSEC_SERIAL": show_serial(certificate.serial_number),
        "CIPSEC_NOT_AFTER": show_time(certificate.not_valid_after_utc),
    }


def _run(hook: Hook, environment: Mapping[str, str]) -> str | None:
    """Return how it failed, None when it ended with 0; it and its group are ended in time."""
    try:
        process = subprocess.Popen(
            (shutil.which(hook.argv[0]) or hook.argv[0], *hook.argv[1:]),  # .bat on Windows too
            stdin=subprocess.DEVNULL,
            stdout=_STDERR,
            stderr=_STDERR,
            env=environment,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = files.reason(error) if isinstance(error, OSError) else str(error)
        return f"cannot be started: {why}"
    try:
        status = process.wait(hook.limit.total_seconds())
    except subprocess.TimeoutExpired:
        return f"did not end within {show_duration(hook.limit)}"
    finally:
        _end(process)
    if status < 0:
        return f"was ended by signal {-status}"
    return f"ended with exit code {status}" if status else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of it: also when Ctrl-C is why we do not wait any more."""
    if process.poll() is not None:
        return  # what it left in the background was meant to stay
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
