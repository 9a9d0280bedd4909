"""ca.toml: what is read, what is refused and where, and that a broken file leaves nothing valid."""

from __future__ import annotations

import contextlib
import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import LocalState, Malformed, UsageError
from cipsec.pki import identity
from cipsec.ra import config, templates
from cipsec.ra.config import CertificateConfig, ConfigFile, ServerConfig
from cipsec.ra.policy import Outcome

RULE = '[[rule]]\nname = "rest"\nwhen = { anyone = true }\nthen = "ask"\n'


def test_defaults() -> None:
    """A table of rules is enough."""
    read = config.parse(RULE.encode())
    assert read.name == ""
    assert read.server == ServerConfig()
    assert read.certificate == CertificateConfig()
    assert read.server.check_binding
    assert read.server.retry_after == timedelta(seconds=5)


def test_a_mark_of_an_editor_is_no_content() -> None:
    """Notepad writes one before what it saves as UTF-8."""
    assert config.parse(b"\xef\xbb\xbf" + RULE.encode()) == config.parse(RULE.encode())


def test_everything() -> None:
    """Each key is read."""
    text = (
        'name = "Line 4"\n[server]\nhosts = ["plant.local", "192.0.2.1"]\n'
        'labels = ["line-3", "old.devices"]\nretry_after = "1m30s"\ntls = "legacy"\n'
        'one_line = ["old.devices"]\nchallenge_password = "ignore"\nmax_pending = 7\n'
        'max_pending_per_address = 3\nremind = "2h"\nexpiring = "0s"\n'
        '[certificate]\nvalidity = "365d"\nbackdate = "0s"\n' + RULE
    )
    read = config.parse(text.encode())
    assert read.name == "Line 4"
    assert read.server == ServerConfig(
        hosts=("plant.local", "192.0.2.1"),
        labels=frozenset({"line-3", "old.devices"}),
        retry_after=timedelta(seconds=90),
        tls="legacy",
        one_line=frozenset({"old.devices"}),
        check_binding=False,
        max_pending=7,
        max_pending_per_address=3,
        remind=timedelta(hours=2),
        expiring=timedelta(),
    )
    assert read.certificate == CertificateConfig(timedelta(days=365), timedelta())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "this is not TOML"),
        ("\xff", "this is not TOML"),
        ("nam = 'a'\n", "'nam' is not known"),
        ("name = 7\n", "name is not a text"),
        ("server = 7\n", "server is not a table"),
        ("[server]\nhost = 'a'\n", "[server]: 'host' is not known"),
        ("[server]\nhosts = 'a'\n", "hosts is not a list of texts"),
        ("[server]\nhosts = ['a b']\n", "hosts: "),
        ("[server]\nhosts = [7]\n", "hosts is not a list of texts"),
        ("[server]\nlabels = ['a/b']\n", "labels: 'a/b' cannot be a label"),
        ("[server]\nlabels = ['']\n", "labels: '' cannot be a label"),
        ("[server]\nlabels = ['..']\n", "labels: '..' cannot be a label"),
        ("[server]\nlabels = ['a', 'cacerts']\n", "labels: 'cacerts' cannot be a label"),
        ("[server]\nlabels = ['simpleenroll']\n", "labels: 'simpleenroll' cannot be a label"),
        ("[server]\nretry_after = 5\n", "retry_after is not a text"),
        ("[server]\nretry_after = '5'\n", "retry_after: '5' is not a duration"),
        ("[server]\nretry_after = '0s'\n", "retry_after is at least 1s"),
        ("[server]\ntls = 'none'\n", "tls must be one of default, legacy"),
        ("[server]\nchallenge_password = true\n", "challenge_password must be one of"),
        ("[server]\nmax_pending = 0\n", "max_pending is not a whole number above zero"),
        ("[server]\nmax_pending = true\n", "max_pending is not a whole number above zero"),
        ("[server]\nmax_pending = 1.5\n", "max_pending is not a whole number above zero"),
        ("[certificate]\nvalidity = '0d'\n", "validity must be longer than nothing"),
        ("[certificate]\nvalidity = 'for ever'\n", "validity: 'for ever' is not a duration"),
        ("[certificate]\nbackdate = '99999d'\n", "backdate: '99999d' is longer than a hundred"),
        ("[certificate]\nbackdate = '3651d'\n", "backdate is at most 3650d"),
        ("[certificate]\ndays = 7\n", "[certificate]: 'days' is not known"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, message: str) -> None:
    """Nothing is guessed and nothing ignored: a typing mistake is named by table and key."""
    with pytest.raises(Malformed) as raised:
        config.parse((text + RULE).encode("latin-1"))
    assert raised.value.message.startswith(message)


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_a_configuration_or_malformed(text: str) -> None:
    """No bytes make the reader fail otherwise."""
    for whole in (text, text + "\n" + RULE, RULE + text):
        with contextlib.suppress(Malformed):
            config.parse(whole.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("policy", templates.MODELS)
@pytest.mark.parametrize("name", ["Line 4", 'A "quoted" \\ name', "Linie\tÄ 😀\x7f\x01", ""])
def test_what_init_writes_is_read_again(name: str, policy: str) -> None:
    """Every template passes the check it will meet, with whatever name and hosts."""
    text = templates.ca_toml(name, hosts=["plant.local", "2001:db8::1"], policy=policy)
    read = config.parse(text.encode())
    assert read.name == name
    assert read.server.hosts == ("plant.local", "2001:db8::1")
    assert read.server == ServerConfig(hosts=read.server.hosts)
    assert read.certificate == CertificateConfig()
    assert read.policy.shadowed() == {}
    last = read.policy.rules[-1]
    grants = policy in ("password", "lab")
    assert last.then is (Outcome.GRANT if grants else Outcome.ASK)
    assert last.grants_to_anyone is (policy == "lab")


def test_a_name_that_is_no_text_is_refused() -> None:
    """Bytes of another encoding in an argument do not end up in the file."""
    with pytest.raises(UsageError, match="not UTF-8"):
        templates.ca_toml("Linie \udcc4", hosts=[], policy="lab")


def test_an_unknown_template_is_refused() -> None:
    """And the others are named."""
    with pytest.raises(UsageError, match="'retina' is not a policy") as raised:
        templates.ca_toml("a", hosts=[], policy="retina")
    hint = "choose approval, vendor, serial, password, provisioning, combined, lab"
    assert raised.value.hint == hint


# The file as it is now.


class Watched:
    """A ca.toml and its reader; each look is made as if a second had passed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = ConfigFile(path)

    def save(self, text: str) -> None:
        """Save as an editor does: a new file in place of the old."""
        draft = self.path.with_suffix(".new")
        draft.write_text(text)
        draft.replace(self.path)

    def name(self) -> str:
        """Return the CA's name as the file has it."""
        return self.file.current().name


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A valid ca.toml."""
    watched = Watched(tmp_path / "ca.toml")
    watched.save('name = "one"\n' + RULE)
    return watched


def test_a_change_takes_effect(watched: Watched) -> None:
    """What is saved is in force, without a restart."""
    assert watched.name() == "one"
    watched.save('name = "two"\n' + RULE)
    assert watched.name() == "two"


def test_a_broken_file_leaves_nothing_in_force(watched: Watched) -> None:
    """Yesterday's rules do not live on; mended, the file is in force at once."""
    assert watched.name() == "one"
    watched.save('name = "two"\n[[rule]]\nname = "rest"\n')
    for _ in range(2):
        with pytest.raises(Malformed) as raised:
            watched.name()
        assert raised.value.message.startswith("ca.toml: rule 1 (rest): there are no")
    watched.save('name = "three"\n' + RULE)
    assert watched.name() == "three"


def refused(watched: Watched) -> None:
    """Check that nothing is in force, now and later."""
    for _ in range(2):
        with pytest.raises(LocalState, match=r"cannot be read|is not a file|is larger than"):
            watched.name()


def test_a_missing_file_leaves_nothing_in_force(watched: Watched) -> None:
    """Nor do they when the file is gone, is a folder, or is far too large."""
    assert watched.name() == "one"
    watched.path.unlink()
    refused(watched)
    watched.path.mkdir()
    refused(watched)
    watched.path.rmdir()
    watched.save("#" * 2_000_000)
    refused(watched)
    watched.save('name = "two"\n' + RULE)
    assert watched.name() == "two"


def test_an_error_that_stays_does_not_grow(watched: Watched) -> None:
    """Thousands of refusals by the same broken file leave no trail of tracebacks behind."""
    watched.save("broken")
    errors = []
    for _ in range(3):
        with pytest.raises(Malformed) as raised:
            watched.name()
        errors.append(raised.value)
    assert len({id(error) for error in errors}) == 3


def test_an_edit_in_place_is_seen(watched: Watched) -> None:
    """Also one that leaves length and time of change as they were, as some tools copy."""
    assert watched.name() == "one"
    before = watched.path.stat()
    watched.path.write_text('name = "two"\n' + RULE)
    os.utime(watched.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert watched.path.stat().st_size == before.st_size
    assert watched.name() == "two"


def test_edits_one_right_after_the_other_are_seen(watched: Watched) -> None:
    """However fast they follow each other, what was saved last is in force."""
    names = [f"n{number:03}" for number in range(200)]
    for name in names:
        watched.path.write_text(f'name = "{name}"\n' + RULE)
        assert watched.name() == name


def test_what_only_this_version_knows_is_checked_too(watched: Watched) -> None:
    """Identity rules and channels are part of the file, and of what is refused."""
    watched.save(RULE + '[[identity]]\nname = "x"\n')
    with pytest.raises(Malformed, match=r"^ca\.toml: identity 1 \(x\): "):
        watched.name()
    watched.save(RULE + '[[channel]]\nname = "x"\n')
    with pytest.raises(Malformed, match=r"^ca\.toml: channel 1 \(x\): "):
        watched.name()


def test_own_identity_rules_take_the_place_of_the_usual() -> None:
    """Where there are none the usual ones apply."""
    assert config.parse(RULE.encode()).identity is identity.DEFAULT
    own = '[[identity]]\nname = "cn"\nselector = "subject:CN"\npattern = "(?P<mac>.*)"\n'
    [rule] = config.parse((RULE + own).encode()).identity
    assert rule.name == "cn"
