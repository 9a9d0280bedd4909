"""New files and folders that are their owner's alone from birth: by mode, on Windows by a list.

There a mode says nothing, and what is made takes over the access list of the folder it is made in:
in `C:\\ca` every user of the machine could read the CA's key. What is made here has a list of its
own, with its owner, the system and administrators, as mkdir(0o700) of newer Pythons has it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform == "win32":  # pragma: no cover  # looked at under Wine, and by mypy
    import contextlib
    import ctypes
    import msvcrt
    from collections.abc import Iterator
    from ctypes import wintypes

    _OWNER_SYSTEM_ADMINISTRATORS = "D:P(A;{0};FA;;;OW)(A;{0};FA;;;SY)(A;{0};FA;;;BA)"
    _AND_WHAT_IS_IN_IT = "OICI"
    _SDDL_REVISION_1 = 1
    _GENERIC_WRITE, _SHARE_ALL, _CREATE_NEW, _NORMAL = 0x40000000, 0x7, 1, 0x80
    _INVALID = ctypes.c_void_p(-1).value

    class _Attributes(ctypes.Structure):
        _fields_ = (
            ("length", wintypes.DWORD),
            ("descriptor", wintypes.LPVOID),
            ("inherited", wintypes.BOOL),
        )

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _advapi = ctypes.WinDLL("advapi32", use_last_error=True)
    _kernel.CreateFileW.restype = wintypes.HANDLE
    _kernel.CreateFileW.argtypes = (
        wintypes.LPCWSTR,
        wintypes.DWORD,
        wintypes.DWORD,
        ctypes.POINTER(_Attributes),
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.HANDLE,
    )
    _kernel.CreateDirectoryW.argtypes = (wintypes.LPCWSTR, ctypes.POINTER(_Attributes))
    _kernel.LocalFree.argtypes = (wintypes.LPVOID,)
    _to_descriptor = _advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW
    _to_descriptor.argtypes = (
        wintypes.LPCWSTR,
        wintypes.DWORD,
        ctypes.POINTER(wintypes.LPVOID),
        wintypes.LPVOID,
    )

    @contextlib.contextmanager
    def _attributes(inheritance: str) -> Iterator[_Attributes]:
        descriptor = wintypes.LPVOID()
        sddl = _OWNER_SYSTEM_ADMINISTRATORS.format(inheritance)
        if not _to_descriptor(sddl, _SDDL_REVISION_1, ctypes.byref(descriptor), None):
            raise ctypes.WinError(ctypes.get_last_error())
        try:
            yield _Attributes(ctypes.sizeof(_Attributes), descriptor, False)
        finally:
            _kernel.LocalFree(descriptor)

    def new_file(path: Path) -> int:
        """Return a descriptor to write to a new file; raise OSError, also where there is one."""
        with _attributes("") as own:
            handle = _kernel.CreateFileW(
                str(path), _GENERIC_WRITE, _SHARE_ALL, own, _CREATE_NEW, _NORMAL, None
            )
        if handle == _INVALID:
            raise ctypes.WinError(ctypes.get_last_error())
        return msvcrt.open_osfhandle(handle, os.O_WRONLY | os.O_BINARY | os.O_NOINHERIT)

    def new_folder(path: Path) -> None:
        """Make a folder, and have what is made in it be private too; raise OSError."""
        with _attributes(_AND_WHAT_IS_IN_IT) as own:
            if not _kernel.CreateDirectoryW(str(path), own):
                raise ctypes.WinError(ctypes.get_last_error())

else:

    def new_file(path: Path) -> int:
        """Return a descriptor to write to a new file; raise OSError, also where there is one."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def new_folder(path: Path) -> None:
        """Make a folder that nobody else looks into; raise OSError."""
        path.mkdir(mode=0o700)


def folder(path: Path) -> None:
    """Make a private folder, and those above it, unless it is there; raise OSError."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            new_folder(path)
        except FileExistsError:
            if not path.is_dir():  # somebody else was faster, but made a file
                raise
