"""Options declared once, as types, and the decorator that gives every command the common ones."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from cipsec._cli.talk import Talk
from cipsec.errors import UsageError


def one_of(*values: str) -> Callable[[str], list[str]]:
    """Return what completes an option, or an argument, to one of these values."""
    return lambda incomplete: [value for value in values if value.startswith(incomplete)]


KEY_TYPES = one_of("ec-p256", "ec-p384", "rsa-2048", "rsa-3072")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on stderr but errors.")]
Verbose = Annotated[
    int,
    typer.Option("--verbose", "-v", count=True, show_default=False, help="Say more; repeatable."),
]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; fail instead.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours; also NO_COLOR.")]


def _print_version(asked: bool) -> None:  # typer calls it so
    if asked:
        from cipsec import __version__

        typer.echo(f"cipsec {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
    ),
]


def _of_group(version: Version = False) -> None:
    """Take what a group takes before the name of a command."""


DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Say what would be done; do nothing.")
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite what exists.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Answer yes to the question asked.")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="Where to write; - for stdout."),
]
CaDir = Annotated[
    Path | None,
    typer.Option(
        "--ca-dir",
        metavar="DIR",
        envvar="CIPSEC_CA_DIR",
        readable=False,  # not looked at by typer: what is forbidden is no wrong usage
        help="The CA's folder.",
    ),
]
IdentityDir = Annotated[
    Path | None,
    typer.Option(
        "--identity",
        metavar="DIR",
        envvar="CIPSEC_IDENTITY",
        readable=False,  # as for --ca-dir
        help="The endpoint's folder.",
    ),
]
PasswordFile = Annotated[
    str | None,
    typer.Option("--password-file", metavar="FILE", help="Read the password; - for stdin."),
]
PassphraseFile = Annotated[
    str | None,
    typer.Option("--passphrase-file", metavar="FILE", help="Read the passphrase; - for stdin."),
]
Note = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why; kept on record.")]
KeyTypeName = Annotated[
    str,
    typer.Option(
        "--key-type",
        metavar="TYPE",
        autocompletion=KEY_TYPES,
        help="ec-p256, ec-p384, rsa-2048, rsa-3072.",
    ),
]
# What an endpoint asks for, by `enroll` or in a CSR.
WishedKeyType = Annotated[
    str | None,
    typer.Option(
        "--key-type",
        metavar="TYPE",
        autocompletion=KEY_TYPES,
        help="ec-p256 (if none is said), ec-p384, rsa-2048, rsa-3072.",
    ),
]
Subject = Annotated[
    str | None,
    typer.Option("--subject", metavar="DN", help="Such as 'CN=Drive 7'; else this machine's name."),
]
San = Annotated[
    list[str] | None,
    typer.Option("--san", metavar="KIND:VALUE", help="dns:, ip:, email: or uri:; repeatable."),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="VENDOR:SERIAL", help="The CIP device, hexadecimal: 0001:6040C8F2."
    ),
]
MacAddress = Annotated[str | None, typer.Option("--mac", metavar="MAC", help="Its MAC address.")]

Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait for a decision, or exit with 11.")
]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", metavar="DURATION", help="Wait no longer than this, e.g. 8h."),
]
# How a new certificate comes into use, by `enroll` and `renew`.
HookCommand = Annotated[
    str | None,
    typer.Option(
        "--hook",
        metavar="COMMAND",
        help="Run this program, without a shell, once a new certificate is in use.",
    ),
]
HookTimeout = Annotated[
    str, typer.Option("--hook-timeout", metavar="DURATION", help="End the hook after this.")
]
TryFirst = Annotated[
    bool,
    typer.Option(
        "--try/--no-try", help="Try the new certificate before the old one is replaced, or not."
    ),
]

_COMMON: dict[str, tuple[Any, object]] = {
    "json": (Json, False),
    "quiet": (Quiet, False),
    "verbose": (Verbose, 0),
    "no_input": (NoInput, False),
    "no_color": (NoColor, False),
    "version": (Version, False),
}


def group(name: str, summary: str) -> typer.Typer:
    """Return a typer app with this project's manners: plain help, `-h`, no completion options."""
    app = typer.Typer(
        name=name,
        help=summary,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_of_group)  # which also keeps a group of one command a group
    return app


def command(
    app: typer.Typer, name: str, *, cls: type[TyperCommand] | None = None
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Register `function(talk, …) -> exit code or None` as `name`, with the common options."""

    def register(function: Callable[..., int | None]) -> Callable[..., int | None]:
        @functools.wraps(function)
        def invoke(**values: Any) -> None:
            common = {option: values.pop(option) for option in _COMMON}
            del common["version"]  # answered before
            code = function(Talk(**common), **values)
            if code:
                raise typer.Exit(code)

        _sign(invoke, function)
        app.command(name, cls=cls)(invoke)
        return function

    return register


def default(app: typer.Typer) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Register `function(talk, …)` as what a group does when no command of it is named."""

    def register(function: Callable[..., int | None]) -> Callable[..., int | None]:
        @functools.wraps(function)
        def invoke(ctx: typer.Context, **values: Any) -> None:
            if ctx.invoked_subcommand is not None:
                _refuse_options(ctx, values)
                return
            common = {option: values.pop(option) for option in _COMMON}
            del common["version"]
            code = function(Talk(**common), **values)
            if code:
                raise typer.Exit(code)

        _sign(invoke, function, with_context=True)
        app.callback(invoke_without_command=True, no_args_is_help=False)(invoke)
        return function

    return register


def _refuse_options(ctx: typer.Context, values: Mapping[str, object]) -> None:
    """Raise UsageError for options before the command's name, which would have no effect."""
    given = (name for name in values if _is_given(ctx, name))
    if (name := next(given, None)) is not None:
        command = f"{ctx.command_path} {ctx.invoked_subcommand}"
        option = next(one.opts[0] for one in ctx.command.params if one.name == name)
        raise UsageError(f"{option} stands before the command", hint=f"write: {command} {option}")


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _sign(
    invoke: Callable[..., None], function: Callable[..., int | None], *, with_context: bool = False
) -> None:
    """Give `invoke` the parameters of `function` but for its Talk, and the common options."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    parameters += [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for n, (kind, default) in _COMMON.items()
    ]
    if with_context:
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter("ctx", kind, annotation=typer.Context))
    del invoke.__wrapped__  # type: ignore[attr-defined]  # else inspect follows it
    invoke.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by typer
    invoke.__annotations__ = {p.name: p.annotation for p in parameters}


def check_text(text: str | None, option: str) -> None:
    """Raise UsageError for bytes on the command line that are not text, and cannot be kept."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise UsageError(f"what {option} gives is not UTF-8 text") from None
