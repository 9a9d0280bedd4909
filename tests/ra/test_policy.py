"""The rule table: what loads, what decides, which rule hides another."""

from __future__ import annotations

import itertools

import pytest

from cipsec.errors import Malformed
from cipsec.pki.device import Identity
from cipsec.ra import config
from cipsec.ra.evidence import NOTHING, Evidence, OwnCertificate
from cipsec.ra.policy import (
    Anyone,
    Condition,
    Label,
    Outcome,
    Own,
    Policy,
    Rule,
    User,
    parse_rules,
)


def evidence(
    *, own: bool | None = None, user: str | None = None, label: str = "", renewal: bool = False
) -> Evidence:
    """Return evidence; `own` tells whether the names are those of the certificate presented."""
    certificate = None if own is None else OwnCertificate("01a2", same_names=own)
    return Evidence(certificate, user, NOTHING, Identity(), label, renewal)


def policy(text: str) -> Policy:
    """Read rules as ca.toml has them."""
    return config.parse(text.encode()).policy


def rule(name: str, *when: Condition, then: Outcome = Outcome.ASK) -> Rule:
    """Return a rule."""
    return Rule(name, when, then)


# What loads.


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
        ('[[rule]]\nname = "a"', 'rule 1 (a): then must be "grant", "ask" or "reject"'),
        ('[[rule]]\nname = "a"\nthen = "GRANT"', "rule 1 (a): then must be"),
        ('[[rule]]\nname = "a"\nthen = ["ask"]', "rule 1 (a): then must be"),
        ('[[rule]]\nname = "a"\nthen = "ask"', "rule 1 (a) has no conditions"),
        ('[[rule]]\nname = "a"\nthen = "ask"\nwhen = {}', "rule 1 (a) has no conditions"),
        ('[[rule]]\nname = "a"\nthen = "ask"\nwhen = "anyone"', "rule 1 (a) has no conditions"),
        (
            '[[rule]]\nname = "a"\nthen = "ask"\nwhen = { vendor = true }',
            "rule 1 (a): the condition 'vendor' is not known",
        ),
        (
            '[[rule]]\nname = "a"\nthen = "ask"\nwhen = { anyone = false }',
            "rule 1 (a): anyone: write true, or leave the condition out",
        ),
        (
            '[[rule]]\nname = "a"\nthen = "ask"\nwhen = { own = 1 }',
            "rule 1 (a): own: write true, or leave the condition out",
        ),
        (
            '[[rule]]\nname = "a"\nthen = "ask"\nwhen = { user = false }',
            "rule 1 (a): user: write a name or a list of names",
        ),
        (
            '[[rule]]\nname = "a"\nthen = "ask"\nwhen = { user = [] }',
            "rule 1 (a): user: write a name or a list of names",
        ),
        (
            '[[rule]]\nname = "a"\nthen = "ask"\nwhen = { user = ["anna", 7] }',
            "rule 1 (a): user: write a name or a list of names",
        ),
        (
            '[[rule]]\nname = "a"\nthen = "ask"\nwhen = { label = true }',
            "rule 1 (a): label: write a name or a list of names",
        ),
        (
            '[[rule]]\nname = "a"\nthen = "grant"\nwhen = { anyone = true }',
            "rule 1 (a) grants a certificate to everybody",
        ),
        (
            '[[rule]]\nname = "a"\nthen = "grant"\nwhen = { label = "line-3" }',
            "rule 1 (a) grants a certificate to everybody",
        ),
        (
            '[[rule]]\nname = "a"\nthen = "grant"\nwhen = { anyone = true }\nlab = false',
            "rule 1 (a) grants a certificate to everybody",
        ),
        (
            '[[rule]]\nname = "a"\nthen = "grant"\nwhen = { anyone = true }\nlab = "true"',
            "rule 1 (a): lab is true or false",
        ),
        (
            '[[rule]]\nname = "none"\nthen = "reject"\nwhen = { anyone = true }',
            "rule 1 (none): 'none' cannot be a rule's name",
        ),
        (
            '[[rule]]\nname = "always"\nthen = "reject"\nwhen = { anyone = true }',
            "rule 1 (always): 'always' cannot be a rule's name",
        ),
        (
            '[[rule]]\nname = "a"\nthen = "ask"\nwhen = { own = true }\n' * 2,
            "two rules are named 'a'",
        ),
        (
            '[[rule]]\nname = "a"\nthen = "ask"\nwhen = { own = true }\n[[rule]]\nname = "b"',
            "rule 2 (b): then must be",
        ),
    ],
)
def test_what_does_not_load_is_named(text: str, message: str) -> None:
    """A rule that cannot mean anything is refused, by number and name."""
    with pytest.raises(Malformed) as raised:
        policy(text)
    assert raised.value.message.startswith(message)


def test_the_global_grant_is_called_so() -> None:
    """To grant to everybody one writes `lab`, and the refusal says what to type."""
    with pytest.raises(Malformed) as raised:
        policy('[[rule]]\nname = "a"\nthen = "grant"\nwhen = { anyone = true }')
    assert raised.value.hint == 'write then = "ask", or lab = true in a laboratory'
    lab = policy('[[rule]]\nname = "a"\nthen = "grant"\nwhen = { anyone = true }\nlab = true')
    assert lab.rules[0].grants_to_anyone
    labelled = 'when = { anyone = true, label = "lab" }'
    both = policy(f'[[rule]]\nname = "a"\nthen = "grant"\n{labelled}\nlab = true')
    assert both.rules[0].grants_to_anyone


@pytest.mark.parametrize("condition", ["own = true", "user = true", 'user = "anna"'])
def test_a_grant_for_something_proved_is_none(condition: str) -> None:
    """With a condition that is proved, alone or beside others, a grant needs no `lab`."""
    for more in ("", ', label = "lab"', ", anyone = true"):
        when = f"{{ {condition}{more} }}"
        text = f'[[rule]]\nname = "a"\nthen = "grant"\nwhen = {when}\n'
        assert not policy(text).rules[0].grants_to_anyone


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
    names = frozenset({"anna", "berta"})
    assert read.rules == (
        Rule("renewal", (Own(),), Outcome.GRANT),
        Rule("engineers", (User(names), Label(frozenset({""}))), Outcome.ASK),
        Rule("anna", (User(frozenset({"anna"})),), Outcome.REJECT),
        Rule("rest", (User(), Anyone()), Outcome.ASK),
    )


# What decides.


@pytest.mark.parametrize(
    ("condition", "shown", "holds", "why"),
    [
        (Anyone(), evidence(), True, "holds for everyone"),
        (Own(), evidence(), False, "no client certificate was presented"),
        (Own(), evidence(own=True), True, "renews certificate 01a2 of this CA"),
        (
            Own(),
            evidence(own=False),
            False,
            "the CSR's names differ from those of certificate 01a2",
        ),
        (User(), evidence(), False, "no user name and password were given"),
        (User(), evidence(user="anna"), True, "user anna gave the right password"),
        (
            User(frozenset({"anna"})),
            evidence(user="anna"),
            True,
            "user anna gave the right password",
        ),
        (
            User(frozenset({"carla", "doris"})),
            evidence(user="anna"),
            False,
            "user anna is not one of the rule's",
        ),
        (User(frozenset({""})), evidence(), False, "no user name and password were given"),
        (Label(frozenset({"a", "b"})), evidence(label="b"), True, "the request has label b"),
        (Label(frozenset({"a"})), evidence(label="b"), False, "the request has label b"),
        (Label(frozenset({"a"})), evidence(), False, "the request has no label"),
        (Label(frozenset({""})), evidence(), True, "the request has no label"),
    ],
)
def test_conditions(condition: Condition, shown: Evidence, holds: bool, why: str) -> None:
    """Each condition, where it holds and where not, and why in words."""
    held = condition.judge(shown)
    assert (held.holds, held.why) == (holds, why)


def test_the_first_rule_that_applies_decides() -> None:
    """Order is everything: a later rule is not looked at."""
    table = Policy(
        (
            rule("anna never", User(frozenset({"anna"})), then=Outcome.REJECT),
            rule("users", User(), then=Outcome.GRANT),
            rule("rest", Anyone(), then=Outcome.ASK),
        )
    )
    decided = [table.decide(evidence(user=user)) for user in ("anna", "berta", None)]
    assert [(d.outcome, d.rule) for d in decided] == [
        (Outcome.REJECT, "anna never"),
        (Outcome.GRANT, "users"),
        (Outcome.ASK, "rest"),
    ]
    assert [len(d.trace) for d in decided] == [1, 2, 3]
    assert [t.applies for t in decided[2].trace] == [False, False, True]


def test_all_conditions_of_a_rule_must_hold() -> None:
    """Conditions are joined by and; the explanation names each of them."""
    table = Policy((rule("both", User(), Label(frozenset({"a"})), then=Outcome.GRANT),))
    both = table.decide(evidence(user="anna", label="a"))
    assert both.outcome is Outcome.GRANT
    assert both.reason == "user anna gave the right password, the request has label a"
    for shown in (evidence(user="anna"), evidence(label="a"), evidence()):
        assert table.decide(shown).outcome is Outcome.REJECT
    missing = table.decide(evidence(label="b")).trace[0]
    assert [held.holds for held in missing.conditions] == [False, False]


def test_when_no_rule_applies_the_answer_is_no() -> None:
    """And the reason names what was missing, each thing once."""
    table = Policy((rule("own", Own()), rule("user", User()), rule("user 2", User())))
    decision = table.decide(evidence())
    assert (decision.outcome, decision.rule) == (Outcome.REJECT, "none")
    assert decision.reason == (
        "no rule applies: no client certificate was presented; no user name and password were given"
    )
    assert len(decision.trace) == 3


def test_reasons_name_no_other_user() -> None:
    """A reason reaches the applicant: it does not list who else might log in."""
    table = Policy((rule("few", User(frozenset({"carla", "doris"}))),))
    decision = table.decide(evidence(user="anna"))
    assert "anna" in decision.reason
    assert "carla" not in decision.reason
    assert "doris" not in decision.reason


@pytest.mark.parametrize(
    ("rules", "label", "asks"),
    [
        ((rule("r", User()),), "", True),
        (
            (
                rule(
                    "r",
                    User(frozenset({"anna"})),
                ),
            ),
            "",
            True,
        ),
        ((rule("r", Anyone()), rule("s", Own())), "", False),
        ((rule("r", User(), Label(frozenset({"a"}))),), "a", True),
        ((rule("r", User(), Label(frozenset({"a"}))),), "", False),
        ((rule("r", User(), Label(frozenset({"", "a"}))),), "", True),
        ((rule("r", Anyone()), rule("s", User(), Own())), "", True),
    ],
)
def test_asking_for_a_password(rules: tuple[Rule, ...], label: str, asks: bool) -> None:
    """Only where a rule for this label knows users does a login make a difference."""
    assert Policy(rules).asks_password(label) is asks


# Which rule hides another.

ANNA, BOTH = User(frozenset({"anna"})), User(frozenset({"anna", "berta"}))
LABEL_A, LABEL_AB = Label(frozenset({"a"})), Label(frozenset({"a", "b"}))
CONDITIONS: tuple[Condition, ...] = (Anyone(), Own(), User(), ANNA, BOTH, LABEL_A, LABEL_AB)
IMPLIED: dict[Condition, set[Condition]] = {
    Anyone(): {Anyone()},
    Own(): {Own(), Anyone()},
    User(): {User(), Anyone()},
    ANNA: {ANNA, BOTH, User(), Anyone()},
    BOTH: {BOTH, User(), Anyone()},
    LABEL_A: {LABEL_A, LABEL_AB, Anyone()},
    LABEL_AB: {LABEL_AB, Anyone()},
}


@pytest.mark.parametrize("one", CONDITIONS, ids=str)
@pytest.mark.parametrize("other", CONDITIONS, ids=str)
def test_what_implies_what(one: Condition, other: Condition) -> None:
    """The whole table; and whoever meets a condition meets what it implies."""
    assert one.implies(other) is (other in IMPLIED[one])
    if one.implies(other):
        for shown in everybody():
            assert not one.judge(shown).holds or other.judge(shown).holds


def everybody() -> list[Evidence]:
    """Return all kinds of applicants that the conditions above can tell apart."""
    return [
        evidence(own=own, user=user, label=label)
        for own in (None, True, False)
        for user in (None, "anna", "berta", "carla")
        for label in ("", "a", "b")
    ]


def test_covering_is_never_claimed_wrongly() -> None:
    """Where a rule is said to cover another, it applies to everybody that the other applies to."""
    whens = [
        *((one,) for one in CONDITIONS),
        *itertools.combinations(CONDITIONS, 2),
        (Own(), ANNA, LABEL_A),
    ]
    covered = 0
    for mine, theirs in itertools.product(whens, whens):
        one, other = rule("one", *mine), rule("other", *theirs)
        if one.covers(other):
            covered += 1
            for shown in everybody():
                assert not other.applies(shown).applies or one.applies(shown).applies
    assert covered > len(whens)  # more than each by itself


def test_a_rule_is_shadowed_by_the_first_that_covers_it() -> None:
    """What can never decide is pointed out, with the rule that hides it."""
    table = Policy(
        (
            rule("anna at a", ANNA, LABEL_A),
            rule("users", User()),
            rule("both", BOTH),
            rule("rest", Anyone()),
            rule("own", Own()),
            rule("more rest", Anyone()),
        )
    )
    assert table.shadowed() == {"both": "users", "own": "rest", "more rest": "rest"}


def test_a_narrower_rule_shadows_nothing() -> None:
    """An exception in front of the rule does not hide it."""
    table = Policy((rule("anna", ANNA), rule("users", User()), rule("own at a", Own(), LABEL_A)))
    assert table.shadowed() == {}


def test_conditions_in_words() -> None:
    """People read the table without knowing its keys."""
    words = [str(c) for c in (Anyone(), Own(), User(), BOTH, LABEL_AB, Label(frozenset({""})))]
    assert words == [
        "anyone",
        "holds a certificate of this CA and asks for the same names",
        "any user with a password",
        "user anna, berta",
        "label a, b",
        "label (none)",
    ]
