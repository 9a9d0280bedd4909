"""The rules of ca.toml: what is read, what is refused and in which words."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Malformed
from cipsec.ra import config
from cipsec.ra.conditions.asked import Anyone, Label, Names
from cipsec.ra.conditions.held import Condition
from cipsec.ra.conditions.listed import Serial
from cipsec.ra.conditions.program import Exec
from cipsec.ra.conditions.proofs import Own, Provisioning, User, Vendor
from cipsec.ra.policy import Outcome, Policy, Replacement, Rule
from cipsec.ra.rules import parse_rules

NAMES = frozenset({"anna", "berta"})


def policy(text: str) -> Policy:
    """Read rules as ca.toml has them."""
    return config.parse(text.encode()).policy


def rule(when: str = "own = true", then: str = "ask", more: str = "") -> str:
    """Return the text of a rule "a"."""
    return f'[[rule]]\nname = "a"\nthen = "{then}"\nwhen = {{ {when} }}\n{more}\n'


# What loads.


def test_rules_are_read_in_order() -> None:
    """What the table says is what is read."""
    read = parse_rules(
        [
            {"name": "renewal", "when": {"own": True}, "then": "grant"},
            {"name": "engineers", "when": {"user": ["anna", "berta"], "label": ""}, "then": "ask"},
            {"name": "anna", "when": {"user": "anna"}, "then": "reject"},
            {"name": "rest", "when": {"user": True, "anyone": True}, "then": "ask", "lab": False},
        ]
    )
    assert read.rules == (
        Rule("renewal", (Own(),), Outcome.GRANT),
        Rule("engineers", (User(NAMES), Label(frozenset({""}))), Outcome.ASK),
        Rule("anna", (User(frozenset({"anna"})),), Outcome.REJECT),
        Rule("rest", (User(), Anyone()), Outcome.ASK),
    )


@pytest.mark.parametrize(
    ("when", "condition"),
    [
        ("anyone = true", Anyone()),
        ("own = true", Own()),
        ("user = true", User()),
        ('user = "anna"', User(frozenset({"anna"}))),
        ('user = ["berta", "anna", "anna"]', User(NAMES)),
        ("vendor = true", Vendor()),
        ('vendor = ["anna", "berta"]', Vendor(NAMES)),
        ("provisioning = true", Provisioning()),
        ('provisioning = "anna"', Provisioning(frozenset({"anna"}))),
        ('serial = "line-3"', Serial(frozenset({"line-3"}))),
        ('serial = ["anna", "berta"]', Serial(NAMES)),
        ('label = ["anna", "berta"]', Label(NAMES)),
        ('names = ["b-*", "{user}-*"]', Names(("b-*", "{user}-*"))),
        ('names = "b-*"', Names(("b-*",))),
        ('exec = ["/opt/ask", "--fast"]', Exec(("/opt/ask", "--fast"))),
    ],
)
def test_every_condition(when: str, condition: Condition) -> None:
    """As it is written, alone."""
    assert policy(rule(when)).rules[0].when == (condition,)


def test_every_key_of_a_rule() -> None:
    """What goes beside the conditions."""
    text = rule(
        'serial = "a"', "grant", 'unproved = true\nreplacement = "keep"\nuntil = 2027-01-31'
    )
    [read] = policy(text).rules
    assert read == Rule(
        "a",
        (Serial(frozenset({"a"}), unproved=True),),
        Outcome.GRANT,
        unproved=True,
        until=datetime(2027, 1, 31, tzinfo=UTC),
        replacement=Replacement.KEEP,
    )
    channel = '[[channel]]\nname = "crew"\ntype = "file"\npath = "/events"\n'
    [read] = policy(rule(more='approvals = 2\nnotify = "crew"') + channel).rules
    assert (read.approvals, read.notify) == (2, frozenset({"crew"}))


@pytest.mark.parametrize(
    "when",
    [
        "user = true", 'serial = "a"', "vendor = true", 'user = true, serial = "a"',
        'vendor = "anna", serial = "a"',
    ],
)  # fmt: skip
def test_unproved_concerns_users_lists_and_vendors(when: str) -> None:
    """All of a rule's conditions, where it has several."""
    [read] = policy(rule(when, more="unproved = true")).rules
    assert read.unproved
    assert all(getattr(condition, "unproved", True) for condition in read.when)
    [read] = policy(rule(when, more="unproved = false")).rules
    assert not read.unproved
    assert not any(getattr(condition, "unproved", False) for condition in read.when)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"2027-01-31T18:00:00Z"', datetime(2027, 1, 31, 18, tzinfo=UTC)),
        ('"2027-01-31T18:00:00+02:00"', datetime(2027, 1, 31, 16, tzinfo=UTC)),
        ('"2027-01-31"', datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T18:00:00Z", datetime(2027, 1, 31, 18, tzinfo=UTC)),
        ("2027-01-31T18:00:00", datetime(2027, 1, 31, 18, tzinfo=UTC)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
    ],
)
def test_an_end(written: str, read: datetime) -> None:
    """A time as text or as TOML's own; without an offset it is UTC."""
    assert policy(rule(more=f"until = {written}")).rules[0].until == read


# The global grant.

LAB = "anyone = true"


def test_the_global_grant_is_called_so() -> None:
    """To grant to everybody one writes `lab` or an end; the refusal says what to type."""
    with pytest.raises(Malformed) as raised:
        policy(rule(LAB, "grant"))
    assert raised.value.message == "rule 1 (a): it grants a certificate to everybody"
    hint = 'write then = "ask"; or, in a laboratory, lab = true, or until = "2027-01-31"'
    assert raised.value.hint == hint
    for more in ("lab = true", 'until = "2027-01-31"', 'lab = true\nuntil = "2027-01-31"'):
        assert policy(rule(LAB, "grant", more)).rules[0].grants_to_anyone


@pytest.mark.parametrize(
    "when",
    ['label = "lab"', 'anyone = true, label = "lab"', 'names = "*"', 'names = "x-*", label = ""'],
)
def test_what_whoever_asks_can_meet_is_no_proof(when: str) -> None:
    """Who chooses label and names himself is everybody."""
    with pytest.raises(Malformed, match="grants a certificate to everybody"):
        policy(rule(when, "grant"))
    assert policy(rule(when, "grant", "lab = true")).rules[0].grants_to_anyone
    assert not policy(rule(when, "ask")).rules[0].grants_to_anyone


PROVED = [
    "own = true",
    "user = true",
    'user = "anna"',
    "vendor = true",
    "provisioning = true",
    'serial = "a"',
    'exec = ["/opt/ask"]',
]


@pytest.mark.parametrize("condition", PROVED)
def test_a_grant_for_something_proved_is_none(condition: str) -> None:
    """With a condition that asks for a proof, alone or beside others, a grant needs no `lab`."""
    for more in ("", ', label = "lab"', ", anyone = true", ', names = "*"'):
        assert not policy(rule(f"{condition}{more}", "grant")).rules[0].grants_to_anyone


# What does not load.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no [[rule]]: nobody could ever be answered"),
        ("rule = []", "there is no [[rule]]: nobody could ever be answered"),
        ('rule = "grant"', "there is no [[rule]]: nobody could ever be answered"),
        ("rule = [1]", "rule 1 is not a table"),
        ("[[rule]]", "rule 1 has no name"),
        ('[[rule]]\nname = ""', "rule 1 has no name"),
        ('[[rule]]\nname = "  "', "rule 1 (  ) has no name"),
        ("[[rule]]\nname = 7", "rule 1 has no name"),
        ('[[rule]]\nname = "a"\nwhom = 1', "rule 1 (a): 'whom' is not known"),
        ('[[rule]]\nname = "a"', "rule 1 (a): there are no conditions"),
        ('[[rule]]\nname = "a"\nthen = "ask"', "rule 1 (a): there are no conditions"),
        ('[[rule]]\nname = "a"\nthen = "ask"\nwhen = "anyone"', "rule 1 (a): there are no condi"),
        (rule(""), "rule 1 (a): there are no conditions"),
        (rule(then="GRANT"), 'rule 1 (a): then must be "grant", "ask" or "reject"'),
        ('[[rule]]\nname = "a"\nwhen = { own = true }', "rule 1 (a): then must be"),
        ('[[rule]]\nname = "a"\nwhen = { own = true }\nthen = ["ask"]', "rule 1 (a): then must"),
        (rule("colour = true"), "rule 1 (a): the condition 'colour' is not known"),
        (rule("anyone = false"), "rule 1 (a): anyone: write true, or leave the condition out"),
        (rule("own = 1"), "rule 1 (a): own: write true, or leave the condition out"),
        (rule("user = false"), "rule 1 (a): user: write a name or a list of names"),
        (rule("user = []"), "rule 1 (a): user: write a name or a list of names"),
        (rule('user = ["anna", 7]'), "rule 1 (a): user: write a name or a list of names"),
        (rule("label = true"), "rule 1 (a): label: write a name or a list of names"),
        (rule("names = true"), "rule 1 (a): names: write a name or a list of names"),
        (rule("serial = true"), "rule 1 (a): serial: write a name or a list of names"),
        (rule('serial = "../secret"'), "rule 1 (a): serial: "),
        (rule('serial = ["a", ""]'), "rule 1 (a): serial: "),
        (rule("vendor = false"), "rule 1 (a): vendor: write a name or a list of names"),
        (rule('exec = "/opt/ask"'), "rule 1 (a): exec: exec is a list"),
        (rule('exec = ["ask"]'), "rule 1 (a): exec: exec begins with the program's absolute"),
        (rule("exec = []"), "rule 1 (a): exec: "),
        (rule(LAB, "grant", "lab = false"), "rule 1 (a): it grants a certificate to everybody"),
        (rule(LAB, "grant", 'lab = "true"'), "rule 1 (a): lab is true or false"),
        (rule(more="unproved = 1"), "rule 1 (a): unproved is true or false"),
        (rule(more="unproved = true"), "rule 1 (a): unproved goes with the conditions vendor,"),
        (rule("provisioning = true", more="unproved = true"), "rule 1 (a): unproved goes with"),
        (rule(more="until = 7"), 'rule 1 (a): until is a time, as in "2027-01-31T18:00:00Z"'),
        (rule(more="until = 18:00:00"), "rule 1 (a): until is a time, as in"),
        (rule(more='until = "tomorrow"'), "rule 1 (a): until: 'tomorrow' is not a time"),
        (rule(more='replacement = "keep"'), "rule 1 (a): replacement goes with then = "),
        (
            rule(then="grant", more='replacement = "burn"'),
            "rule 1 (a): replacement must be one of ask, keep, revoke",
        ),
        (rule(more="approvals = 0"), "rule 1 (a): approvals is a number from 1 to 5"),
        (rule(more="approvals = 6"), "rule 1 (a): approvals is a number from 1 to 5"),
        (rule(more="approvals = true"), "rule 1 (a): approvals is a number from 1 to 5"),
        (rule(more='approvals = "2"'), "rule 1 (a): approvals is a number from 1 to 5"),
        (rule(then="grant", more="approvals = 2"), 'rule 1 (a): approvals goes with then = "ask"'),
        (rule(then="reject", more="approvals = 2"), 'rule 1 (a): approvals goes with then = "as'),
        (rule(more="notify = true"), "rule 1 (a): notify: write a name or a list of names"),
        (rule(more="notify = []"), "rule 1 (a): notify: write a name or a list of names"),
        (rule(more='notify = "crew"'), "the rule 'a' notifies 'crew', and there is no such chan"),
        (rule().replace('"a"', '"none"'), "rule 1 (none): 'none' cannot be a rule's name"),
        (rule().replace('"a"', '"always"'), "rule 1 (always): 'always' cannot be a rule's name"),
        (rule().replace('"a"', '"by hand"'), "rule 1 (by hand): 'by hand' cannot be a rule's"),
        (rule() * 2, "two rules are named 'a'"),
        (rule() + '[[rule]]\nname = "b"', "rule 2 (b): there are no conditions"),
    ],
)
def test_what_does_not_load_is_named(text: str, message: str) -> None:
    """A rule that cannot mean anything is refused, by number and name."""
    with pytest.raises(Malformed) as raised:
        policy(text)
    assert raised.value.message.startswith(message)


def test_a_channel_that_is_missing_is_said_how_to_add() -> None:
    """The hint is something to type."""
    with pytest.raises(Malformed) as raised:
        policy(rule(more='notify = ["crew"]'))
    assert raised.value.hint == 'add [[channel]] with name = "crew", or take it out of the rule'


VALUES = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5) | st.dates() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
CONDITIONS = st.dictionaries(
    st.sampled_from(
        ["anyone", "own", "vendor", "serial", "user", "provisioning", "label", "names", "exec"]
    ),
    VALUES,
)
KEYS = st.sampled_from(["lab", "until", "unproved", "replacement", "approvals", "notify"])


@given(
    when=CONDITIONS | VALUES,
    then=st.sampled_from(["grant", "ask", "reject"]) | VALUES,
    more=st.dictionaries(KEYS, VALUES),
)
def test_any_rule_loads_or_is_malformed(
    when: object, then: object, more: dict[str, object]
) -> None:
    """Whatever TOML can hold in a rule's place; and no grant to everybody slips through."""
    with contextlib.suppress(Malformed):
        read = parse_rules([{"name": "a", "when": when, "then": then, **more}])
        [one] = read.rules
        assert not one.grants_to_anyone or one.lab or one.until is not None
        assert str(one.when[0])
