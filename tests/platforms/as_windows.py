"""cipsec as on Windows, as far as that can be played elsewhere: `python as_windows.py ARGUMENT…`.

Once all libraries are imported, which keep what they have, what Windows does not have is taken away
from what cipsec sees: modules, functions, flags, links, /dev and /proc, names of files that Windows
refuses. A file that is open keeps its name, and so do the folders it is in. Not played: paths with
backslashes, its console, its sockets and its access lists.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import sys
import time
import types
import warnings
from pathlib import Path

# And what makes access lists, which asks Windows.
LIBRARIES = (
    "cipsec.private",
    "anyio._backends._asyncio", "asyncio.unix_events", "cffi", "concurrent.futures.thread",
    "cryptography.hazmat.bindings._rust", "filelock", "getpass", "httptools", "httpx", "ifaddr",
    "logging.handlers", "multiprocessing", "OpenSSL.SSL", "platform", "platformdirs", "pty",
    "rich.console", "rich.table", "smartcard.System", "sqlite3", "tempfile", "textual.app", "typer",
    "typer.completion", "uuid", "zeroconf.asyncio",
)  # fmt: skip
MODULES = ("fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")
# dir() on Linux less dir() of CPython 3.11 on Windows.
ABSENT = {
    os: """
        O_ASYNC O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_NDELAY O_NOATIME O_NOCTTY O_NOFOLLOW
        O_NONBLOCK O_PATH O_RSYNC O_SYNC O_TMPFILE WNOHANG WEXITED WNOWAIT P_PID P_ALL CLD_EXITED
        chown chroot confstr copy_file_range ctermid environb eventfd fchdir fchmod fchown fdatasync
        fork forkpty fpathconf fstatvfs fwalk get_blocking getegid geteuid getgid getgrouplist
        getgroups getloadavg getpgid getpgrp getpriority getrandom getsid getuid getxattr killpg
        lchown listxattr lockf login_tty major makedev memfd_create minor mkfifo mknod nice openpty
        pathconf pidfd_open pipe2 posix_fadvise posix_fallocate posix_spawn pread preadv pwrite
        pwritev readv register_at_fork removexattr sched_yield sendfile
        set_blocking setegid seteuid setgid setgroups setpgid setpriority setsid setuid setxattr
        splice statvfs sync sysconf tcgetpgrp tcsetpgrp ttyname uname wait wait3 wait4 waitid
        writev""",
    signal: """
        ITIMER_REAL SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPROF SIGQUIT
        SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGWINCH SIGXCPU SIG_BLOCK
        SIG_SETMASK alarm getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt
        sigpending sigtimedwait sigwait sigwaitinfo""",
    socket: """
        MSG_DONTWAIT MSG_NOSIGNAL SOCK_CLOEXEC SOCK_NONBLOCK SO_BINDTODEVICE SO_PEERCRED SO_PRIORITY
        SO_REUSEPORT TCP_CORK TCP_USER_TIMEOUT recv_fds send_fds sethostname""",
    select: "epoll poll",
    time: "clock_gettime clock_settime tzset",
}
_NO_NAME = re.compile(
    r'[<>:"|?*\\\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)', re.I
)


def _names_of_open_files() -> list[str]:
    names = []
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208  # pathlib is what is played with
        with contextlib.suppress(OSError):
            names.append(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
    return names


def _require_closed(path: str) -> None:
    """Raise what Windows does for a file that is open, or a folder in which one is."""
    held = (name for name in _names_of_open_files() if not name.endswith(".lock"))
    if any(name == path or name.startswith(f"{path}/") for name in held):
        raise PermissionError(errno.EACCES, "The process cannot access the file", path)


def _require_a_name(path: str) -> None:
    if path.startswith(("/dev/", "/proc/", "/sys/")) and path != os.devnull:
        raise FileNotFoundError(errno.ENOENT, "The system cannot find the path specified", path)
    if path != os.devnull and any(map(_NO_NAME.search, path.split("/"))):
        raise OSError(errno.EINVAL, "The filename, directory name, or volume label", path)


def _absolute(path: object) -> str | None:
    if not isinstance(path, str | bytes | os.PathLike):
        return None  # a descriptor
    folder, name = os.path.split(os.fsdecode(path))
    return str(pathlib.PurePosixPath(os.path.realpath(folder or "."), name))


_busy = False


def _as_windows_would(event: str, values: tuple[object, ...]) -> None:
    """An audit hook: what it raises becomes the outcome of what was tried."""
    global _busy  # noqa: PLW0603  # it opens files itself
    if _busy or event not in {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir",
                              "os.link", "os.symlink", "sqlite3.connect"}:  # fmt: skip
        return
    _busy = True
    try:
        if event == "os.symlink":
            raise PermissionError(errno.EPERM, "A required privilege is not held by the client")
        named = values[: 2 if event in {"os.rename", "os.link"} else 1]
        paths = [_absolute(value) for value in named]
        for path in filter(None, paths):
            if event in {"os.rename", "os.remove", "os.rmdir"}:
                _require_closed(path)
            if event != "sqlite3.connect":
                _require_a_name(path)
    finally:
        _busy = False


def _rename(source: str | Path, target: str | Path, _real=os.rename) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists")
    _real(source, target)


def _no_signals(*_: object) -> None:
    raise NotImplementedError


def _copy(module: types.ModuleType) -> types.ModuleType:
    copy = types.ModuleType(module.__name__)
    vars(copy).update(vars(module))
    return copy


def _keep_for_libraries() -> None:
    """Give every module that is imported a copy of what is about to be bereft."""
    kept = {holder.__name__: _copy(holder) for holder in ABSENT}
    shutil.sys = _copy(sys)  # type: ignore[attr-defined]  # `which` looks where it is late
    for module in [m for m in sys.modules.values() if isinstance(m, types.ModuleType)]:
        for name, copy in kept.items():
            for alias in (name, f"_{name}") if module.__name__ != __name__ else ():
                if vars(module).get(alias) is sys.modules[name]:
                    setattr(module, alias, copy)


def become_windows() -> None:
    """Take away what Windows does not have; whatever is imported afterwards finds it missing."""
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    os.rename = _rename  # type: ignore[assignment]
    shutil._use_fd_functions = False  # type: ignore[attr-defined]  # it names halves of paths
    loop = asyncio.unix_events._UnixSelectorEventLoop
    setattr(loop, "add_signal_handler", _no_signals)  # noqa: B010  # no type for what is not there
    for module in MODULES:
        sys.modules[module] = None  # type: ignore[assignment]
    _keep_for_libraries()
    for holder, names in ABSENT.items():
        for name in names.split():
            if hasattr(holder, name):
                delattr(holder, name)
    os.name, sys.platform = "nt", "win32"
    errno.WSAEINVAL = errno.EINVAL  # type: ignore[attr-defined]  # zeroconf looks where it is late
    sys.addaudithook(_as_windows_would)
    warnings.filterwarnings("error", category=EncodingWarning, module="cipsec")


if __name__ == "__main__":
    become_windows()
    from cipsec._cli import run

    run()
