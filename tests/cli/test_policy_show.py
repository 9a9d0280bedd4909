"""`cipsec policy show`: the rules in words, and what is to be seen to."""

from __future__ import annotations

import pytest

from cipsec.ca_folder import CaFolder

from .conftest import Cipsec
from .policies import rules

_ANOTHER_KEY = "a known device with another key"


def test_show(on_ca: Cipsec) -> None:
    """The rules of a new CA, one line each, in order."""
    ran = on_ca("policy", "show")
    assert ran.code == 0
    assert ran.out == (
        "renewal\tholds a certificate of this CA and asks for the same names\tgrant\t-\n"
        "users\tany user with a password\tgrant\t-\n"
        "everyone else\tanyone\task\t-\n"
    )
    assert ran.err == "cipsec: where no rule applies the answer is: reject\n"


def test_show_json(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Every key of the contract; a rule that an earlier one covers names it."""
    rules(
        ca_folder,
        'name = "known"\nwhen = { user = ["bob", "alice"], label = "line-3" }\nthen = "grant"',
        'name = "all"\nwhen = { anyone = true }\nthen = "grant"\nlab = true',
        'name = "late"\nwhen = { user = true }\nthen = "reject"',
    )
    ran = on_ca("policy", "show", "--json")
    plain = {
        "shadowed_by": None,
        "lab": False,
        "until": None,
        "replacement": None,
        "approvals": 1,
        "notify": None,
    }
    assert ran.json == {
        "rules": [
            {
                **plain,
                "name": "known",
                "when": ["user alice, bob", "label line-3"],
                "then": "grant",
            },
            {**plain, "name": "all", "when": ["anyone"], "then": "grant", "lab": True},
            {
                **plain,
                "name": "late",
                "when": ["any user with a password"],
                "then": "reject",
                "shadowed_by": "all",
            },
        ],
        "renewal": [],
    }
    assert list(ran.json["rules"][0]) == ["name", "when", "then", *plain]
    assert ran.err == (
        "cipsec: warning: the rule late never decides: all does before it\n"
        "cipsec: warning: the rule all grants a certificate to everybody\n"
    )


def test_show_in_words(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Every condition as people say it, and what is special about a rule."""
    rules(
        ca_folder,
        'name = "a"\nwhen = { vendor = ["bolt", "acme"], serial = ["b", "a"] }\nthen = "grant"\n'
        'replacement = "revoke"\nuntil = "2199-01-31"',
        'name = "b"\nwhen = { serial = "a" }\nthen = "ask"\nunproved = true\napprovals = 2',
        'name = "c"\nwhen = { user = true, names = ["pc-*", "{user}"] }\nthen = "grant"\n'
        'unproved = true\nreplacement = "keep"\nnotify = ["y", "x"]',
        'name = "d"\nwhen = { provisioning = true, label = ["", "l"] }\nthen = "grant"\n'
        'replacement = "ask"',
        'name = "e"\nwhen = { exec = ["/bin/asked", "secret"], vendor = true }\nthen = "grant"',
        'name = "f"\nwhen = { provisioning = ["z", "card"] }\nthen = "reject"',
        'name = "g"\nwhen = { anyone = true }\nthen = "grant"\nuntil = "2020-01-01"',
        head='[server]\nlabels = ["l"]\n'
        + "".join(f'[[channel]]\nname = "{n}"\ntype = "file"\npath = "{n}"\n' for n in "xy"),
    )
    ran = on_ca("policy", "show")
    assert ran.rows == [
        ["a", "vendor acme, bolt, device listed in a, b", "grant",
         f"until 2199-01-31T00:00:00Z; {_ANOTHER_KEY} is granted, its old certificate is revoked"],
        ["b", "device listed in a, by its own word only", "ask",
         "2 administrators have to agree"],
        ["c", "any user with a password, for any device, names like pc-*, {user}", "grant",
         f"{_ANOTHER_KEY} is granted, its old certificate stays in force; tells x, y"],
        ["d", "provisioning certificate, label (none), l", "grant",
         f"{_ANOTHER_KEY} waits"],
        ["e", "/bin/asked says so, any trusted vendor", "grant", "-"],
        ["f", "provisioning certificate card, z", "reject", "-"],
        ["g", "anyone", "grant", "is over"],
    ]  # fmt: skip
    assert ran.err == "cipsec: where no rule applies the answer is: reject\n"


@pytest.mark.parametrize(
    ("earlier", "later", "shadowed"),
    [
        ("anyone = true", "vendor = true", True),
        ("vendor = true", 'vendor = ["acme"]', True),
        ('vendor = ["acme"]', "vendor = true", False),
        ('vendor = ["acme"]', 'vendor = ["acme"], serial = "a"', True),
        ('vendor = true, serial = "a"', "vendor = true", False),
        ('serial = ["a", "b"]', 'serial = "a"', True),
        ('serial = "a"', 'serial = ["a", "b"]', False),
        ("provisioning = true", 'provisioning = "x"', True),
        ('user = "a"', 'user = "a", names = "pc-*"', True),
        ('names = "pc-*"', 'user = "a"', False),
        ('label = ["x", "y"]', 'label = "x"', True),
        ('exec = ["/bin/true"]', 'exec = ["/bin/true"]', False),
    ],
)
def test_show_shadowed(
    on_ca: Cipsec, ca_folder: CaFolder, earlier: str, later: str, shadowed: bool
) -> None:
    """A rule is pointed out exactly where an earlier one applies to all that it applies to."""
    rules(
        ca_folder,
        f'name = "one"\nwhen = {{ {earlier} }}\nthen = "ask"',
        f'name = "two"\nwhen = {{ {later} }}\nthen = "reject"',
    )
    ran = on_ca("policy", "show")
    warning = "cipsec: warning: the rule two never decides: one does before it\n"
    assert (warning in ran.err) is shadowed
    assert (ran.rows[1][3] == "never decides: one does") is shadowed
    found = on_ca("policy", "show", "--json").json["rules"][1]["shadowed_by"]
    assert found == ("one" if shadowed else None)


def test_show_what_is_over(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """A rule with an end shadows nothing, for it makes room; a global grant that ended is none."""
    grant = 'name = "training"\nwhen = { anyone = true }\nthen = "grant"\nuntil = "%s"'
    ask = 'name = "else"\nwhen = { user = true }\nthen = "ask"'
    rules(ca_folder, grant % "2199-01-01", ask)
    assert on_ca("policy", "show").err.endswith(
        "cipsec: warning: the rule training grants a certificate to everybody\n"
    )
    rules(ca_folder, grant % "2020-01-01", ask)
    ran = on_ca("policy", "show")
    assert [row[3] for row in ran.rows] == ["is over", "-"]
    assert "warning" not in ran.err


def test_show_renewals(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """What `[renewal]` says, where it says anything."""
    rule = 'name = "renewal"\nwhen = { own = true }\nthen = "grant"'
    rules(ca_folder, rule, head='[renewal]\ngrace = "30d"\nsame_key = "refuse"')
    ran = on_ca("policy", "show")
    assert ran.err.splitlines()[-1] == (
        "cipsec: a certificate is renewed until 30d after its end, with a new key only"
    )
    assert on_ca("policy", "show", "--json").json["renewal"] == [
        "until 30d after its end",
        "with a new key only",
    ]


def test_show_hostile_names(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Names in ca.toml come from people, and may have come from elsewhere before."""
    name = '"\\u001b[2K [/red] \\u202e\\n|"'
    rules(
        ca_folder,
        f'name = {name}\nwhen = {{ anyone = true }}\nthen = "grant"\nlab = true',
        f'name = "late"\nwhen = {{ user = {name} }}\nthen = "ask"',
    )
    ran = on_ca("policy", "show")
    assert ran.code == 0
    assert len(ran.rows) == 2
    for text in (ran.out, ran.err):
        assert not {"\x1b", "\u202e", "\r"} & set(text)
        assert "[/red]" in text
