"""The architecture, as its imports show it: downwards only, and each library in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import cipsec

ROOT = Path(cipsec.__file__).parent

# Every part of the package imports from those on lines above its own, and from itself.
LAYERS = (
    {"version"},
    {"errors", "shell", "private"},
    {"naming", "ownership"},
    {"files", "safe", "times", "current", "python"},
    {"named"},
    {"pki", "store"},
    {"ca", "discovery", "tls", "card", "token", "archive"},
    {"est", "ra"},
    {"est.server", "front", "ca_folder"},
    {"publishing", "founding", "passphrase"},
    {"endpoint", "serve", "survey", "demo", "rollover", "report", "backup"},
    {"doctor"},
    {"_cli"},
    {"__main__"},
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}

ONLY_IN = {
    "typer": {"_cli"},
    "rich": {"_cli"},
    "textual": {"_cli"},
    "httpx": {"est", "ra"},  # of `ra` only notify
    "zeroconf": {"discovery"},
    "ifaddr": {"discovery"},
    "smartcard": {"card"},
    "pkcs11": {"token"},
    "httptools": {"front"},
    "OpenSSL": {"tls", "front", "serve"},
    "sqlite3": {
        "store",
        "ra",
        "serve",
        "rollover",
        "report",
        "backup",
        "doctor",
        "_cli",
        "publishing",
        "passphrase",
    },  # beyond `store` as a type of connections handed on
}
OPENS = {"os", "pathlib", "io", "socket", "ssl", "subprocess", "tempfile", "shutil", "asyncio"}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        dotted = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        yield dotted.removesuffix(".__init__"), ast.parse(path.read_text())


MODULES = dict(_modules())


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield what a module imports, at its head, within functions and for types alike."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def _part(module: str) -> str:
    """Return the part of the package that a module belongs to."""
    inside = module.removeprefix("cipsec").removeprefix(".")
    if inside in RANK:
        return inside
    return inside.partition(".")[0] or "version"


def _parts_imported(module: str) -> set[str]:
    ours = (name for name in _imported(MODULES[module]) if name.split(".")[0] == "cipsec")
    return {_part(name) for name in ours} - {_part(module)}


def _reached(part: str) -> set[str]:
    """Return all parts that importing `part` brings along."""
    reached: set[str] = set()
    waiting = {part}
    while waiting:
        now = waiting.pop()
        reached.add(now)
        found = {p for m in MODULES if _part(m) == now for p in _parts_imported(m)}
        waiting |= found - reached
    return reached


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards_only(module: str) -> None:
    """A new part says in LAYERS where it belongs."""
    assert _part(module) in RANK, "LAYERS does not know it"
    for part in _parts_imported(module):
        assert RANK[part] < RANK[_part(module)], f"{module} imports {part}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_each_library_has_its_place(library: str) -> None:
    """Whoever else needs it asks that place."""
    users = {
        _part(module)
        for module, tree in MODULES.items()
        if any(name.split(".")[0] == library for name in _imported(tree))
    }
    assert users <= ONLY_IN[library]


@pytest.mark.parametrize(
    ("part", "strangers"),
    [("est", {"ra", "ca", "store"}), ("endpoint", {"ra", "ca", "store"}), ("ca", {"ra", "store"})],
)
def test_some_parts_never_meet(part: str, strangers: set[str]) -> None:
    """Not by way of others either: a client needs no CA, the key knows no policy."""
    assert not _reached(part) & strangers


def test_pki_opens_nothing() -> None:
    """Pure functions: no file, no network, no process."""
    for module, tree in MODULES.items():
        if _part(module) == "pki":
            assert not {name.split(".")[0] for name in _imported(tree)} & OPENS, module
            names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            assert not names & {"open", "print", "input"}, module


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is(module: str) -> None:
    """A docstring whose first line is one sentence."""
    first = (ast.get_docstring(MODULES[module]) or "").partition("\n\n")[0]
    assert first.endswith((".", ":")), "a sentence"
