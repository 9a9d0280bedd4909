"""The root command: a static table of lazy groups, and the one ladder from error to exit code."""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from cipsec import safe
from cipsec._cli import exits, streams
from cipsec._cli.options import Version
from cipsec._cli.talk import Talk
from cipsec.errors import CipsecError, UsageError

# name -> (module, one line of help): `--help` of the root imports none of them.
COMMANDS = {
    "discover": ("discover", "Find EST servers on the local network."),
    "enroll": ("enroll", "Get a certificate for this endpoint."),
    "renew": ("enroll", "Renew this endpoint's certificate."),
    "status": ("enroll", "Show this endpoint's identity and what it waits for."),
    "csr": ("csr", "Create, show and verify certificate signing requests."),
    "cert": ("cert", "Show certificates: files, stdin, HOST:PORT."),
    "ca": ("ca", "Run a local CA: set up, serve, approve, list."),
    "policy": ("policy", "Show who may have a certificate; try a request against it."),
    "allowlist": ("allowlist", "Keep the lists of devices that may have a certificate."),
    "vendor": ("vendor", "Keep the device vendors whose certificates are believed."),
    "user": ("user", "Keep the users that may enroll with a password."),
    "notify": ("notify", "Show the channels that tell people, and try them."),
    "smartcard": ("smartcard", "Keep the smartcards that hold provisioning certificates."),
    "demo": ("demo", "Play a way of granting, or the whole story, on this machine."),
    "doctor": ("doctor", "Look for what is wrong here, or soon will be."),
    "completion": ("completion", "Print the completion script for a shell."),
}
_COMPLETE = "_CIPSEC_COMPLETE"  # set by the completion script at each Tab


class _Root(TyperGroup):
    """A group that knows its commands by name and imports the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"cipsec._cli.{COMMANDS[cmd_name][0]}")
        loaded = typer.main.get_group(module.app)
        return loaded.commands.get(cmd_name) or loaded

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def root() -> TyperGroup:
    """Return the root command."""
    app = typer.Typer(
        name="cipsec",
        cls=_Root,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def cipsec(
        version: Version = False,
    ) -> None:
        """Certificates for EtherNet/IP devices by the CIP Security Pull Model."""

    group = typer.main.get_group(app)
    names: dict[str, Any] = dict.fromkeys(COMMANDS)
    group.commands.update(names)  # where typer looks for "did you mean"
    return group


def main(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error ends here."""
    talk = Talk(json=_wants_json(argv))
    _log_to_stderr(argv)
    # cryptography's remarks on odd certificates, at a line of ours; findings say it better.
    warnings.simplefilter("ignore", UserWarning)
    return talk.end(_judged(talk, argv))


def _judged(talk: Talk, argv: Sequence[str]) -> int:
    """Run the command and say what went wrong with it."""
    try:
        return _run(argv)
    except CipsecError as error:
        talk.error(error)
        return exits.code_of(error)
    except TyperException as error:
        return _misused(talk, error)
    except (KeyboardInterrupt, EOFError, typer.Abort):
        return exits.INTERRUPTED
    except BrokenPipeError:
        return exits.OK  # the reader went away (`| head`): nobody is left to be told
    except Exception as error:  # noqa: BLE001  # the border: a traceback helps no operator
        if isinstance(error, OSError) and error.errno in streams.FULL:
            talk.error(streams.lost(error))
            return exits.LOCAL_STATE
        return _unexpected(talk, error, verbose=is_verbose(argv))


def _run(argv: Sequence[str]) -> int:
    """Run the command; typer's own `main` would exit by itself where a pipe is broken."""
    command = root()
    if os.environ.get(_COMPLETE):
        from cipsec._cli.completion import answer

        return answer(command)
    try:
        with command.make_context("cipsec", list(argv)) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    return exits.OK


def _misused(talk: Talk, error: TyperException) -> int:
    message = error.format_message()
    if message.startswith("Usage: "):  # a group without a command: its help is the message
        for line in message.splitlines():
            talk.say(line)
    else:
        talk.error(UsageError(message.rstrip("."), hint=_help_of(error)))
    return exits.USAGE


def _unexpected(talk: Talk, error: Exception, *, verbose: bool) -> int:
    if verbose:
        logging.getLogger(__name__).error("unexpected", exc_info=error)
    talk.error(
        CipsecError(
            f"unexpected {type(error).__name__}: {error}",
            hint="run it again with -v and report what it prints (SECURITY.md says where)",
        )
    )
    return exits.UNEXPECTED


def _wants_json(argv: Sequence[str]) -> bool:
    """Tell `--json` even where the command line itself is the error."""
    before_dashes = list(argv)[: list(argv).index("--")] if "--" in argv else argv
    return "--json" in before_dashes


def is_verbose(argv: Sequence[str]) -> bool:
    """Tell `-v` before the command line is parsed."""
    return any(re.fullmatch(r"--verbose|-[a-z]*v[a-z]*", word) for word in argv)


def _help_of(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    if context is None:
        return "cipsec --help"
    option = getattr(error, "option_name", None)  # that there is no such one
    if option and isinstance(context.command, TyperGroup):
        return f"options stand after the command: {context.command_path} COMMAND {option}"
    return f"{context.command_path} --help"


def _log_to_stderr(argv: Sequence[str]) -> None:
    verbose = is_verbose(argv)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Harmless("cipsec: %(message)s"))
    handler.addFilter(lambda record: verbose or record.levelno >= _least(record))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])


def _least(record: logging.LogRecord) -> int:
    """Return from which level on it is shown: our warnings are for people, others' for us."""
    return logging.WARNING if record.name.startswith("cipsec.") else logging.ERROR


class _Harmless(logging.Formatter):
    """Shows messages on one line, escapes made visible: libraries log what strangers sent."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # as inherited
        return safe.text(super().formatMessage(record), limit=2000)
