"""Certificate policies on a path (RFC 5280 section 6.1): whether one holds where one is demanded.

Only that is asked: no policy of ours is demanded, and any will do. So of the tree of section 6.1.2
only the lowest level is kept, as RFC 9618 does against trees made to grow without bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from cipsec.errors import Untrusted
from cipsec.pki import der
from cipsec.pki.extensions import value
from cipsec.pki.issued import is_self_issued

UNDERSTOOD = frozenset(
    {
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.POLICY_MAPPINGS,
        ExtensionOID.INHIBIT_ANY_POLICY,
    }
)
_ANY = "2.5.29.32.0"
_SEQUENCE = 0x30

_Level = Mapping[str, frozenset[str]]  # each valid policy, and what it is called one level below
_Mappings = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class _State:
    """Section 6.1.2: the lowest level, and after how many CAs each restriction holds."""

    level: _Level
    explicit: int
    mapping: int
    any: int


def bind(extensions: x509.Extensions) -> bool:
    """Tell whether a certificate makes policies matter to the path that it is on."""
    return any(e.oid in UNDERSTOOD for e in extensions)


def check(chain: Sequence[x509.Certificate]) -> None:
    """Raise Untrusted where a policy is demanded and none holds; `chain` is leaf to anchor.

    Also for mappings from or to any policy. An anchor that another CA has issued is one of the CAs;
    a root is none.
    """
    leaf, *cas = chain[:-1] if is_self_issued(chain[-1]) else chain
    many = len(chain) + 1
    state = _State({_ANY: frozenset({_ANY})}, many, many, many)
    for ca in reversed(cas):
        state = _prepared(_processed(state, ca, last=False), ca)
    state = _processed(state, leaf, last=True)
    limits = value(leaf.extensions, x509.PolicyConstraints)
    at_once = limits is not None and limits.require_explicit_policy == 0
    _require(replace(state, explicit=0 if at_once else max(state.explicit - 1, 0)))


def _require(state: _State) -> None:
    if not state.explicit and not state.level:
        raise Untrusted("a CA of the path demands a certificate policy, and none holds for all")


def _processed(state: _State, certificate: x509.Certificate, *, last: bool) -> _State:
    """Section 6.1.3 (d) to (f)."""
    policies = value(certificate.extensions, x509.CertificatePolicies)
    named = [one.policy_identifier.dotted_string for one in policies or ()]
    expected = frozenset().union(*state.level.values()) if state.level else frozenset[str]()
    level = {one for one in named if one != _ANY and (one in expected or _ANY in state.level)}
    free = state.any > 0 or (not last and is_self_issued(certificate))
    if _ANY in named and free:
        level |= expected
    state = replace(state, level={one: frozenset({one}) for one in level})
    _require(state)
    return state


def _prepared(state: _State, ca: x509.Certificate) -> _State:
    """Section 6.1.4 (a), (b) and (h) to (j)."""
    state = replace(state, level=_mapped(state, mappings(ca.extensions)))
    if not is_self_issued(ca):
        state = replace(
            state,
            explicit=max(state.explicit - 1, 0),
            mapping=max(state.mapping - 1, 0),
            any=max(state.any - 1, 0),
        )
    limits = value(ca.extensions, x509.PolicyConstraints)
    inhibited = value(ca.extensions, x509.InhibitAnyPolicy)
    return replace(
        state,
        explicit=_least(state.explicit, limits.require_explicit_policy if limits else None),
        mapping=_least(state.mapping, limits.inhibit_policy_mapping if limits else None),
        any=_least(state.any, inhibited.skip_certs if inhibited else None),
    )


def _mapped(state: _State, mappings: _Mappings) -> _Level:
    level = dict(state.level)
    for policy, others in mappings.items():
        if not state.mapping:
            level.pop(policy, None)
        elif policy in level or _ANY in level:
            level[policy] = others
    return level


def mappings(extensions: x509.Extensions) -> Mapping[str, frozenset[str]]:
    """Return what each policy is mapped to; nothing without the extension (section 4.2.1.5).

    Raises Untrusted for a mapping from or to any policy, ValueError for what cannot be read.
    """
    found: dict[str, frozenset[str]] = {}
    for extension in extensions:
        if extension.oid == ExtensionOID.POLICY_MAPPINGS:
            for _, pair in der.elements(der.only(extension.value.public_bytes(), _SEQUENCE)):
                issuers, subjects = (der.dotted(content) for _, content in der.elements(pair))
                if _ANY in (issuers, subjects):
                    raise Untrusted("a CA of the path maps policies from or to any policy")
                found[issuers] = found.get(issuers, frozenset()) | {subjects}
    return found


def _least(one: int, other: int | None) -> int:
    return one if other is None else min(one, other)
