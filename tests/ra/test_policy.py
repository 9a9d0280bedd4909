"""The rule table: what decides, what waits where a rule cannot be judged, which rule hides another.

How rules are written is in `test_rules`, what each condition says in `test_conditions`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec.ra import judge, objections
from cipsec.ra.conditions.asked import Anyone, Label, Names
from cipsec.ra.conditions.held import Condition
from cipsec.ra.conditions.listed import Serial
from cipsec.ra.conditions.program import Exec
from cipsec.ra.conditions.proofs import Own, Provisioning, User, Vendor
from cipsec.ra.enrollment import UserProof
from cipsec.ra.evidence import Evidence
from cipsec.ra.notyet import NotYet
from cipsec.ra.policy import GLOBAL_GRANT, Decision, Outcome, Policy, Rule
from tests.support import asking, ca, est, evidence, vendor
from tests.support.est import NOW, Server
from tests.support.evidence import about

DEVICE, OTHER = "0001:6040C8F2", "0001:00000009"
SECOND = timedelta(seconds=1)
Script = asking.Script


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A CA with two vendors, three lists, one of which is broken, and a card for two."""
    with est.serving(tmp_path_factory.mktemp("policy")) as server:
        server.allow("a", f"{DEVICE},Slot 7,,,")
        server.allow("b", f"{OTHER},,,1,", "0001:0000000A,,2020-01-01T00:00:00Z,,")
        server.allow("broken", "nonsense")
        yield server


@pytest.fixture(scope="module")
def mine(server: Server) -> bytes:
    """A certificate of this CA for the device."""
    return est.der(server.record(ca.request()))


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Makes programs."""
    return asking.scripts(tmp_path)


def some(*names: str) -> frozenset[str]:
    """Return names as conditions have them."""
    return frozenset(names)


def rule(name: str, *when: Condition, then: Outcome = Outcome.ASK) -> Rule:
    """Return a rule."""
    return Rule(name, when, then)


def decide(table: Policy, found: Evidence) -> Decision:
    """Decide as the RA does, which waits for what is being found out."""

    async def decided() -> Decision:
        for _ in range(8):
            try:
                return table.decide(found)
            except NotYet as wait:
                await wait.ready()
        raise AssertionError

    return asyncio.run(decided())


# What decides.


def test_the_first_rule_that_applies_decides(server: Server) -> None:
    """Order is everything: a later rule is not looked at."""
    table = Policy(
        (
            rule("anna never", User(some("anna")), then=Outcome.REJECT),
            rule("users", User(), then=Outcome.GRANT),
            rule("rest", Anyone(), then=Outcome.ASK),
        )
    )
    asked = ca.request("CN=pc")
    decided = [decide(table, about(server, asked, user=user)) for user in ("anna", "berta", None)]
    assert [(d.outcome, d.rule) for d in decided] == [
        (Outcome.REJECT, "anna never"),
        (Outcome.GRANT, "users"),
        (Outcome.ASK, "rest"),
    ]
    assert [len(d.trace) for d in decided] == [1, 2, 3]
    assert [t.applies for t in decided[2].trace] == [False, False, True]
    assert [d.applied for d in decided] == list(table.rules)


def test_all_conditions_of_a_rule_must_hold(server: Server) -> None:
    """Conditions are joined by and; the explanation names each of them."""
    table = Policy((rule("both", User(), Label(some("a")), then=Outcome.GRANT),))
    asked = ca.request("CN=pc")
    both = decide(table, about(server, asked, user="anna", label="a"))
    assert both.outcome is Outcome.GRANT
    assert both.reason == "user anna gave the right password, the request has label a"
    for user, label in (("anna", ""), (None, "a"), (None, "")):
        found = about(server, asked, user=user, label=label)
        assert decide(table, found).outcome is Outcome.REJECT
    missing = decide(table, about(server, asked, label="b")).trace[0]
    assert [held.holds for held in missing.conditions] == [False, False]


def test_when_no_rule_applies_the_answer_is_no(server: Server) -> None:
    """Nobody decided, and the reason says that no rule applies."""
    table = Policy((rule("own", Own()), rule("user", User()), rule("user 2", User())))
    decision = decide(table, about(server))
    assert (decision.outcome, decision.rule, decision.applied) == (Outcome.REJECT, "none", None)
    assert decision.reason.startswith("no rule applies: ")
    assert len(decision.trace) == 3
    assert decision.troubles == ()


def test_reasons_name_no_other_user(server: Server) -> None:
    """A reason reaches the applicant: it does not list who else might log in."""
    table = Policy((rule("few", User(some("carla", "doris"))),))
    decision = decide(table, about(server, ca.request("CN=pc"), user="anna"))
    assert "carla" not in decision.reason
    assert "doris" not in decision.reason


def test_a_rule_that_ended_applies_no_more(server: Server) -> None:
    """On the second; the next rule decides, and the explanation says when it was over."""
    ending = dataclasses.replace(rule("open day", Anyone(), then=Outcome.GRANT), until=NOW)
    table = Policy((ending, rule("rest", Anyone())))
    for now, decides in ((NOW - SECOND, "open day"), (NOW, "rest"), (NOW + SECOND, "rest")):
        decision = decide(table, about(server, now=now))
        assert decision.rule == decides
    [over] = decision.trace[0].conditions
    assert (over.condition, over.why) == ("until", "the rule ended at 2026-11-23T05:00:00Z")


def test_a_rule_that_ended_asks_nobody(server: Server, script: Script, tmp_path: Path) -> None:
    """No program is started for it, and no broken list is its business."""
    mark = tmp_path / "mark"
    asks = rule("old", Exec(script(f"touch {mark}")), Serial(some("broken")), then=Outcome.GRANT)
    table = Policy((dataclasses.replace(asks, until=NOW), rule("rest", Anyone())))
    decision = decide(table, about(server))
    assert (decision.rule, decision.troubles) == ("rest", ())
    assert not mark.exists()


def test_the_global_grant_says_so(server: Server) -> None:
    """In the reason of each grant; and of no other decision."""
    lab = dataclasses.replace(rule("lab", Anyone(), then=Outcome.GRANT), lab=True)
    proved = rule("users", User(), then=Outcome.GRANT)
    table = Policy((proved, lab))
    found = about(server, ca.request("CN=pc"))
    assert decide(table, found).reason == f"{GLOBAL_GRANT}holds for everyone"
    user = decide(table, about(server, ca.request("CN=pc"), user="anna"))
    assert GLOBAL_GRANT not in user.reason
    assert table.global_grants(NOW) == [lab]
    ends = dataclasses.replace(lab, until=NOW)
    assert Policy((proved, ends)).global_grants(NOW - SECOND) == [ends]
    assert Policy((proved, ends)).global_grants(NOW) == []


def test_what_a_grant_brings_along(server: Server, mine: bytes) -> None:
    """The slot of the entry, what is spent, and whether the entry expects somebody."""
    table = Policy((rule("a", Serial(some("a"))), rule("card", Provisioning())))
    listed = decide(table, about(server, chain=[mine]))
    assert (listed.slot, listed.uses, listed.expected) == ("a:Slot 7", (), False)
    card = decide(table, about(server, chain=server.card("brings", uses=2)))
    assert (card.slot, card.expected) == (None, False)
    assert [(use.what, use.limit) for use in card.uses] == [("provisioning certificate brings", 2)]
    expecting = about(server, ca.request(f"CN=a,serialNumber={OTHER}"))
    by_word = Policy((rule("b", Serial(some("b"), unproved=True)),))
    expected = decide(by_word, expecting)
    assert (expected.slot, expected.expected) == (None, True)
    assert [use.limit for use in expected.uses] == [1]


@pytest.mark.parametrize(
    ("rules", "label", "asks"),
    [
        ((rule("r", User()),), "", True),
        ((rule("r", User(some("anna"))),), "", True),
        ((rule("r", Anyone()), rule("s", Own())), "", False),
        ((rule("r", User(), Label(some("a"))),), "a", True),
        ((rule("r", User(), Label(some("a"))),), "", False),
        ((rule("r", User(), Label(some("", "a"))),), "", True),
        ((rule("r", Anyone()), rule("s", User(), Own())), "", True),
    ],
)
def test_asking_for_a_password(rules: tuple[Rule, ...], label: str, asks: bool) -> None:
    """Only where a rule for this label knows users does a login make a difference."""
    assert Policy(rules).asks_password(label) is asks


# What cannot be judged.

BROKEN = Serial(some("broken"))
LAB = dataclasses.replace(rule("lab", Anyone(), then=Outcome.GRANT), lab=True)


@pytest.mark.parametrize("then", list(Outcome))
def test_a_rule_that_cannot_be_judged_waits_and_never_grants(
    then: Outcome, server: Server, mine: bytes
) -> None:
    """Whatever it would do, and whatever comes after it; the trouble names file and line."""
    table = Policy((rule("r", BROKEN, then=then), LAB))
    decision = decide(table, about(server, chain=[mine]))
    assert (decision.outcome, decision.rule) == (Outcome.ASK, "r")
    assert decision.reason.startswith("the rule cannot be judged: allowlists/broken.csv:2: ")
    [trouble] = decision.troubles
    assert "broken.csv:2" in trouble
    assert decision.trace[0].undecided
    assert not decision.trace[0].applies


@pytest.mark.parametrize("then", list(Outcome))
def test_what_does_not_hold_anyway_stops_nothing(
    then: Outcome, server: Server, mine: bytes
) -> None:
    """A condition that is a clear no settles the rule; the broken list is told all the same."""
    for conditions in ((BROKEN, Label(some("x"))), (Label(some("x")), BROKEN)):
        table = Policy((rule("r", *conditions, then=then), LAB))
        decision = decide(table, about(server, chain=[mine]))
        assert (decision.outcome, decision.rule) == (Outcome.GRANT, "lab")
        assert len(decision.troubles) == 1


def test_who_names_no_device_is_not_stopped_by_a_broken_list(server: Server) -> None:
    """The list could not say anything about him."""
    table = Policy((rule("r", BROKEN, then=Outcome.REJECT), LAB))
    assert decide(table, about(server, ca.request("CN=pc"))).rule == "lab"


def test_a_rule_before_the_broken_one_decides(server: Server, mine: bytes) -> None:
    """What applies earlier is not touched by it."""
    table = Policy((rule("renewal", Own(), then=Outcome.GRANT), rule("r", BROKEN)))
    decision = decide(table, about(server, chain=[mine]))
    assert (decision.outcome, decision.rule, decision.troubles) == (Outcome.GRANT, "renewal", ())


def test_a_broken_vendor_file_stops_what_asks_for_vendors(server: Server) -> None:
    """For those who present a certificate that a vendor might vouch for, and nobody else."""
    pki = vendor.make()
    folder = server.folder.path / "vendors"
    vendor.install(folder, "acme", pki.root)
    (folder / "acme.toml").write_text("???\n")
    table = Policy((rule("genuine", Vendor(), then=Outcome.GRANT), LAB))
    try:
        waits = decide(table, about(server, chain=pki.chain))
        assert (waits.outcome, waits.rule) == (Outcome.ASK, "genuine")
        assert "acme.toml" in waits.troubles[0]
        assert decide(table, about(server)).rule == "lab"
    finally:
        for path in folder.iterdir():
            path.unlink()


def test_a_program_without_an_opinion_lets_the_next_rule_decide(
    server: Server, script: Script
) -> None:
    """And leaves its trouble."""
    torn = script("exit 3")
    table = Policy((rule("r", Exec(torn), then=Outcome.GRANT), rule("rest", Anyone())))
    decision = decide(table, about(server))
    assert (decision.outcome, decision.rule) == (Outcome.ASK, "rest")
    assert decision.troubles == (f"{torn[0]} has no opinion: it ended with exit status 3",)


@pytest.mark.parametrize("then", [Outcome.ASK, Outcome.REJECT])
def test_the_silence_of_a_program_whose_yes_is_no_grant_does_not_grant(
    then: Outcome, server: Server, script: Script
) -> None:
    """Where its yes would have been a no, or a question, the request waits."""
    torn = script("exit 3")
    table = Policy((rule("stolen", Exec(torn), then=then), LAB))
    decision = decide(table, about(server))
    assert (decision.outcome, decision.rule) == (Outcome.ASK, "stolen")
    assert decision.reason.startswith("the rule cannot be judged: ")


@pytest.mark.parametrize("then", list(Outcome))
def test_a_program_is_asked_only_where_it_matters(
    then: Outcome, server: Server, script: Script, tmp_path: Path
) -> None:
    """Not where another condition is a no, wherever it is written."""
    mark = tmp_path / "mark"
    command = script(f"touch {mark}")
    for when in ((Exec(command), Own()), (Own(), Exec(command))):
        table = Policy((rule("r", *when, then=then), rule("rest", Anyone())))
        decision = decide(table, about(server))
        assert decision.rule == "rest"
        whys = {held.condition: held.why for held in decision.trace[0].conditions}
        assert whys["exec"] == f"{command[0]} was not asked"
        assert [held.condition for held in decision.trace[0].conditions] == [
            "exec" if isinstance(condition, Exec) else "own" for condition in when
        ]
    assert not mark.exists()


@pytest.mark.parametrize("then", list(Outcome))
@pytest.mark.parametrize("says", ["exit 0", "exit 1"])
def test_a_broken_list_beside_a_program(
    says: str, then: Outcome, server: Server, mine: bytes, script: Script
) -> None:
    """A program's no settles the rule; its yes does not mend the list, and nothing passes by."""
    table = Policy((rule("r", BROKEN, Exec(script(says)), then=then), LAB))
    decision = decide(table, about(server, chain=[mine]))
    waits = says == "exit 0"
    assert decision.outcome is (Outcome.ASK if waits else Outcome.GRANT)
    assert decision.rule == ("r" if waits else "lab")
    assert any("broken.csv" in trouble for trouble in decision.troubles)


def test_a_broken_list_beside_a_program_that_rejects_in_silence(
    server: Server, mine: bytes, script: Script
) -> None:
    """Two things that could not be judged do not cancel out."""
    when = (BROKEN, Exec(script("exit 3")))
    table = Policy((rule("stolen", *when, then=Outcome.REJECT), LAB))
    decision = decide(table, about(server, chain=[mine]))
    assert (decision.outcome, decision.rule) == (Outcome.ASK, "stolen")
    assert len(decision.troubles) == 2


def test_each_trouble_is_told_once(server: Server, mine: bytes, script: Script) -> None:
    """However many rules meet it, and also where no rule applies in the end."""
    torn = Exec(script("exit 3"))
    no = Label(some("x"))
    grants = (rule("t", torn, then=Outcome.GRANT), rule("u", torn, then=Outcome.GRANT))
    table = Policy((rule("r", BROKEN, no), rule("s", BROKEN, no), *grants))
    decision = decide(table, about(server, chain=[mine]))
    assert (decision.outcome, decision.rule) == (Outcome.REJECT, "none")
    assert len(decision.troubles) == 2


# Waiting for what has to be found out.


def test_a_long_list_and_a_program_are_waited_for(
    server: Server, mine: bytes, script: Script
) -> None:
    """The table is judged again until it is whole; it ends."""
    server.allow("long", f"{DEVICE},,,,", *(f"0002:{n:08X},,,," for n in range(1, 10_000)))
    table = Policy(
        (
            rule("r", Exec(script("exit 1"))),
            rule("s", Serial(some("long")), Exec(script("exit 0")), then=Outcome.GRANT),
        )
    )
    decision = decide(table, about(server, chain=[mine]))
    assert (decision.outcome, decision.rule) == (Outcome.GRANT, "s")


def test_what_is_revoked_during_the_wait_counts(
    server: Server, script: Script, tmp_path: Path
) -> None:
    """Evidence is gathered anew once a program has spoken: five seconds are long enough."""
    own = server.record(ca.request("CN=revoked meanwhile"))
    going, done = tmp_path / "going", tmp_path / "done"
    command = script(f"touch {going}; while ! test -e {done}; do sleep 0.05; done")
    table = Policy((rule("renewal", Own(), Exec(command), then=Outcome.GRANT),))
    config = dataclasses.replace(server.config(), policy=table)
    sent = evidence.enrollment(ca.request("CN=revoked meanwhile"), chain=[est.der(own)])

    async def scene() -> judge.Case:
        judging = asyncio.create_task(
            judge.judge(
                sent,
                user=None,
                config=lambda: config,
                sources=server.sources,
                own_names=frozenset(),
                now=server.now,
            )
        )
        while not going.exists() and not judging.done():
            await asyncio.sleep(0.02)
        server.revoke(own)
        done.touch()
        return await judging

    case = asyncio.run(scene())
    assert case.decision.outcome is Outcome.REJECT
    assert "is revoked" in case.decision.trace[0].conditions[0].why


# Which rule hides another.

ANNA, BOTH = User(some("anna")), User(some("anna", "berta"))
LABEL_A, LABEL_AB = Label(some("a")), Label(some("a", "b"))
ACME, MAKERS = Vendor(some("acme")), Vendor(some("acme", "bolt"))
LIST_A, LISTS = Serial(some("a")), Serial(some("a", "b"))
A_BY_WORD, BY_WORD = Serial(some("a"), unproved=True), Serial(some("a", "b"), unproved=True)
FOR_ANY, ANNA_FOR_ANY = User(unproved=True), User(some("anna"), unproved=True)
CARD, CARDS = Provisioning(some("card-1")), Provisioning(some("card-1", "card-2"))
DRIVES, OWN_NAMES = Names(("drive*",)), Names(("{user}*",))
IMPLIED: dict[Condition, set[Condition]] = {
    Anyone(): {Anyone()},
    Own(): {Own(), Anyone()},
    User(): {User(), FOR_ANY, Anyone()},
    ANNA: {ANNA, BOTH, User(), ANNA_FOR_ANY, FOR_ANY, Anyone()},
    BOTH: {BOTH, User(), FOR_ANY, Anyone()},
    FOR_ANY: {FOR_ANY, Anyone()},
    ANNA_FOR_ANY: {ANNA_FOR_ANY, FOR_ANY, Anyone()},
    LABEL_A: {LABEL_A, LABEL_AB, Anyone()},
    LABEL_AB: {LABEL_AB, Anyone()},
    Vendor(): {Vendor(), Anyone()},
    ACME: {ACME, MAKERS, Vendor(), Anyone()},
    MAKERS: {MAKERS, Vendor(), Anyone()},
    LIST_A: {LIST_A, LISTS, A_BY_WORD, BY_WORD, Anyone()},
    LISTS: {LISTS, BY_WORD, Anyone()},
    A_BY_WORD: {A_BY_WORD, BY_WORD, Anyone()},
    BY_WORD: {BY_WORD, Anyone()},
    Provisioning(): {Provisioning(), Anyone()},
    CARD: {CARD, CARDS, Provisioning(), Anyone()},
    CARDS: {CARDS, Provisioning(), Anyone()},
    DRIVES: {DRIVES, Anyone()},
    OWN_NAMES: {OWN_NAMES, Anyone()},
}
CONDITIONS = tuple(IMPLIED)


@pytest.fixture(scope="module")
def everybody(server: Server, mine: bytes) -> list[Evidence]:
    """All kinds of applicants that the conditions above can tell apart."""
    folder = server.folder.path / "vendors"
    makers = {name: vendor.make(name, OTHER) for name in ("acme", "bolt", "cog")}
    for name, pki in makers.items():
        vendor.install(folder, name, pki.root)
    # One that is used up: it holds for nobody but for who has used it.
    spent = server.card("card-2")
    chains: list[tuple[bytes, ...]] = [(), (mine,), vendor.make("Stranger").chain, spent]
    chains += [server.card("card-1", uses=2), server.card("card-3", uses=2)]
    chains += [pki.chain for pki in makers.values()]
    subjects = (
        "CN=drive 7",
        "CN=anna-pc",
        f"CN=drive 7,serialNumber={DEVICE}",
        f"CN=pc,serialNumber={OTHER}",
    )
    users = (None, "anna", "berta", "carla", UserProof("anna", 1, "user:anna:1"))
    found = [
        about(server, ca.request(subject), chain=chain, user=user, label=label)
        for subject in subjects
        for chain in chains
        for user in users
        for label in ("", "a", "b")
    ]
    return [one for one in found if objections.to_evidence(one) is None]


@pytest.fixture(scope="module")
def meeting(everybody: list[Evidence]) -> dict[Condition, frozenset[int]]:
    """Who of everybody meets each condition."""
    return {
        condition: frozenset(
            number for number, found in enumerate(everybody) if condition.judge(found).holds
        )
        for condition in CONDITIONS
    }


def test_everybody_is_there(
    everybody: list[Evidence], meeting: dict[Condition, frozenset[int]]
) -> None:
    """Each condition is met by some and not by all, but `anyone`; no two by the same."""
    for condition, who in meeting.items():
        assert who, str(condition)
        assert (len(who) == len(everybody)) is (condition == Anyone())
    same = [
        (str(one), str(other))
        for one, other in itertools.combinations(CONDITIONS, 2)
        if meeting[one] == meeting[other]
    ]
    assert same == []


@pytest.mark.parametrize("one", CONDITIONS, ids=str)
@pytest.mark.parametrize("other", CONDITIONS, ids=str)
def test_what_implies_what(
    one: Condition, other: Condition, meeting: dict[Condition, frozenset[int]]
) -> None:
    """The whole table; and whoever meets a condition meets what it implies."""
    assert one.implies(other) is (other in IMPLIED[one])
    if one.implies(other):
        assert meeting[one] <= meeting[other]


def test_a_program_implies_nothing() -> None:
    """Another run of the same program may say something else."""
    program = Exec(("/opt/ask",))
    assert not program.implies(program)
    assert program.implies(Anyone())
    assert not any(condition.implies(program) for condition in CONDITIONS)


def test_covering_is_never_claimed_wrongly(
    everybody: list[Evidence], meeting: dict[Condition, frozenset[int]]
) -> None:
    """Where a rule is said to cover another, it applies to everybody that the other applies to."""

    @functools.cache
    def applies(when: tuple[Condition, ...]) -> frozenset[int]:
        return frozenset.intersection(*(meeting[condition] for condition in when))

    whens = [
        *((one,) for one in CONDITIONS),
        *itertools.combinations(CONDITIONS, 2),
        (Own(), ANNA, LABEL_A),
    ]
    covered = 0
    for mine, theirs in itertools.product(whens, whens):
        if rule("one", *mine).covers(rule("other", *theirs)):
            covered += 1
            assert applies(theirs) <= applies(mine)
    assert covered > len(whens)  # more than each by itself


def test_a_rule_is_shadowed_by_the_first_that_covers_it() -> None:
    """What can never decide is pointed out, with the rule that hides it."""
    table = Policy(
        (
            rule("anna at a", ANNA, LABEL_A),
            rule("users", User()),
            rule("both", BOTH),
            rule("line 3", LISTS, Vendor()),
            rule("acme in a", ACME, LIST_A),
            rule("rest", Anyone()),
            rule("own", Own()),
            rule("more rest", Anyone()),
        )
    )
    assert table.shadowed() == {
        "both": "users",
        "acme in a": "line 3",
        "own": "rest",
        "more rest": "rest",
    }


def test_a_narrower_rule_shadows_nothing() -> None:
    """An exception in front of the rule does not hide it; nor what asks for more proof."""
    table = Policy(
        (
            rule("anna", ANNA),
            rule("users", User()),
            rule("any device", FOR_ANY),
            rule("own at a", Own(), LABEL_A),
            rule("a", LIST_A),
            rule("a by word", A_BY_WORD),
        )
    )
    assert table.shadowed() == {}


def test_a_rule_with_an_end_shadows_nothing() -> None:
    """Afterwards the other one decides; one with an end may be hidden."""
    ending = dataclasses.replace(rule("lab", Anyone(), then=Outcome.GRANT), until=NOW)
    assert Policy((ending, rule("rest", Anyone()))).shadowed() == {}
    assert Policy((rule("rest", Anyone()), ending)).shadowed() == {"lab": "rest"}
