"""The `[[channel]]` tables of ca.toml."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Malformed
from cipsec.ra import config
from cipsec.ra.notify.channels import (
    DEFAULT_EVENTS,
    Apprise,
    Channel,
    Command,
    Email,
    Lines,
    Syslog,
    Tls,
    Transport,
    Webhook,
)
from cipsec.ra.notify.config import parse_channels
from cipsec.ra.notify.directory import directory

from .happening import channel, event

MAIL = 'type = "email"\nserver = "mail.plant"\nfrom = "ca@plant"\nto = ["a@plant"]\n'
HOOK = 'type = "webhook"\nurl = "https://hooks.plant/in"\n'
LINES = 'type = "file"\npath = "events.jsonl"\n'
RULES = """
[[rule]]
name = "line 3"
when = { label = "line3" }
then = "ask"
notify = ["night"]

[[rule]]
name = "rest"
when = { anyone = true }
then = "ask"
"""


def test_no_channels() -> None:
    """Nobody has to be told."""
    assert parse_channels(None) == parse_channels([]) == ()


def test_email() -> None:
    """STARTTLS on port 587, unless said otherwise."""
    email = Email("mail.plant", 587, Tls.STARTTLS, "ca@plant", ("a@plant",))
    made = channel(MAIL)
    assert made == Channel("it", "email", DEFAULT_EVENTS, timedelta(seconds=30), email)
    other = channel(MAIL + 'tls = "tls"\nuser = "x"\npassword_file = "p"\nca_file = "c"').target
    assert isinstance(other, Email)
    assert (other.port, other.user, other.password_file, other.ca_file) == (
        465,
        "x",
        Path("p"),
        Path("c"),
    )


@pytest.mark.parametrize(
    ("text", "target"),
    [
        (HOOK, Webhook("https://hooks.plant/in")),
        (
            'type = "webhook"\nurl_file = "u"\nsecret_file = "s"',
            Webhook(None, Path("u"), Path("s")),
        ),
        ('type = "webhook"\nurl = "http://[::1]:8/"', Webhook("http://[::1]:8/")),
        ('type = "command"\ncommand = ["/bin/x", "y z"]', Command(("/bin/x", "y z"))),
        ('type = "syslog"\nserver = "192.0.2.1"', Syslog("192.0.2.1", 514, Transport.UDP, 10)),
        (
            'type = "syslog"\nserver = "log.plant"\ntransport = "tls"\nfacility = "local7"',
            Syslog("log.plant", 6514, Transport.TLS, 23),
        ),
        (LINES, Lines(Path("events.jsonl"))),
        ('type = "apprise"\nurls_file = "push"', Apprise(Path("push"))),
    ],
)
def test_other_types(text: str, target: object) -> None:
    """Each has its own keys and defaults."""
    assert channel(text).target == target


def test_events_and_digest() -> None:
    """Chosen by name, or all; records are kept at once, people are told after a while."""
    chosen = channel(LINES + 'events = ["granted", "rejected"]').events
    assert chosen == frozenset({"granted", "rejected"})
    assert channel(LINES + 'events = ["all"]').events is None
    assert channel(LINES).digest == timedelta()
    assert channel(HOOK).digest == timedelta(seconds=30)
    assert channel(HOOK + 'digest = "5m"').digest == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "type must be one of email, webhook, command, syslog, file, apprise"),
        ('type = "pigeon"', "type must be"),
        ("type = 1", "type must be"),
        (MAIL + 'password = "secret"', "'password' is not known"),
        (HOOK + 'secret = "secret"', "'secret' is not known"),
        (MAIL + "port = 0", "port is not"),
        (MAIL + "port = true", "port is not"),
        (MAIL + 'user = "x"', "belong together"),
        (MAIL + 'password_file = "x"', "belong together"),
        (MAIL + 'tls = "none"', 'tls = "none" would show every message'),
        (
            MAIL + 'tls = "none"\nallow_plaintext = true\nuser = "x"\npassword_file = "p"',
            'tls = "none" would show the password',
        ),
        (MAIL.replace("a@plant", "a@plant\\nBcc: x@y"), "is not a mail address"),
        (MAIL.replace("a@plant", "a@b, c@d"), "is not a mail address"),
        (MAIL.replace("ca@plant", "CA <ca@plant>"), "from: 'CA <ca@plant>' is not"),
        (MAIL.replace('["a@plant"]', "[]"), "to is not a list"),
        (MAIL.replace("mail.plant", "mail plant"), "server: "),
        (MAIL.replace("mail.plant", "*.plant"), "server: "),
        ('type = "webhook"', "write url, or url_file"),
        (HOOK + 'url_file = "x"', "write url, or url_file"),
        ('type = "webhook"\nurl = "http://hooks.plant/"', "would show every message"),
        ('type = "webhook"\nurl = "http://127.0.0.1.evil.example/"', "would show every message"),
        ('type = "webhook"\nurl = "https://u:p@hooks.plant/"', "user name"),
        ('type = "webhook"\nurl = "https://hooks.plant:99999/"', "not a URL"),
        ('type = "webhook"\nurl = "https://hooks.plant/a b"', "not a URL"),
        ('type = "webhook"\nurl = "file:///etc/passwd"', "https://"),
        ('type = "command"\ncommand = "rm -rf /"', "command is not a list"),
        ('type = "command"\ncommand = []', "command is not a list"),
        ('type = "command"\ncommand = [""]', "names no program"),
        ('type = "syslog"\nserver = "x"\ntransport = "carrier"', "transport must be one of"),
        ('type = "syslog"\nserver = "x"\nfacility = "kern"', "facility must be one of"),
        ('type = "syslog"\nserver = "x"\nca_file = "c"', "ca_file is for"),
        ('type = "file"', "path is missing"),
        ('type = "file"\npath = "../ca.key"', "path is not the name of a file"),
        ('type = "apprise"', "urls_file is missing"),
        ('type = "apprise"\nurls = ["json://secret"]', "'urls' is not known"),
        (HOOK + 'events = ["pendign"]', "events: 'pendign' is not known"),
        (HOOK + "events = []", "events is not a list"),
        (HOOK + 'digest = "2d"', "digest is at most 1d"),
        (HOOK + 'digest = "soon"', "digest: "),
        (HOOK + "digest = 30", "digest is not a text"),
    ],
)
def test_mistakes(text: str, said: str) -> None:
    """Channel and key are named."""
    with pytest.raises(Malformed) as caught:
        channel(text)
    assert caught.value.message.startswith("channel 1 (it): ")
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"name": "x"}, "channel is not a list of tables"),
        ([1], "channel 1 is not a table"),
        ([{}], "channel 1 has no name"),
        ([{"name": "a/b"}], "channel 1 has no name"),
        ([{"name": "\x1b"}], "channel 1 has no name"),
        (
            [{"name": "x", "type": "file", "path": "p"}] * 2,
            "two channels are named 'x'",
        ),
    ],
)
def test_tables(tables: object, said: str) -> None:
    """Names are short, plain and used once."""
    with pytest.raises(Malformed) as caught:
        parse_channels(tables)
    assert said in caught.value.message


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
_KEYS = [
    *("name", "type", "events", "digest", "server", "port", "tls", "user", "password_file"),
    *("from", "to", "url", "command", "path"),
]


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(_KEYS),
            st.sampled_from(["email", "webhook", "command", "syslog", "file", "apprise"]) | _VALUES,
        ),
        max_size=3,
    )
)
def test_anything(tables: list[object]) -> None:
    """Whatever TOML may hold: channels, or Malformed."""
    with contextlib.suppress(Malformed):
        assert len(parse_channels(tables)) == len(tables)


def test_rules_choose_channels() -> None:
    """What a rule that names channels decides goes to these alone; what no rule decides, to all."""
    channels = "".join(f'[[channel]]\nname = "{name}"\n{HOOK}' for name in ("day", "night"))
    whom = directory(config.parse((channels + RULES).encode()))
    day, night = whom.channels

    def told(**values: object) -> list[bool]:
        return [whom.concerns(one, event(**values)) for one in (day, night)]  # type: ignore[arg-type]  # the test's own

    assert told(rule="line 3") == [False, True]
    assert told(rule="rest") == [True, True]
    assert told(rule=None) == [True, True]
    assert told(rule="rest", what="granted") == [False, False]


def test_rules_that_name_nobody() -> None:
    """A channel that is not there is a mistake in ca.toml, not silence."""
    with pytest.raises(Malformed, match="night"):
        config.parse(RULES.encode())


def test_targets_show_no_secrets() -> None:
    """What `notify list` shows may be seen by anybody."""
    texts = {
        MAIL: "a@plant by mail.plant:587",
        'type = "webhook"\nurl = "https://hooks.plant/T0K3N?x=T0K3N"': "https://hooks.plant/…",
        'type = "command"\ncommand = ["/bin/x", "T0K3N"]': "/bin/x",
        'type = "apprise"\nurls_file = "push"': "the URLs in push",
    }
    assert {text: str(channel(text).target) for text in texts} == texts
