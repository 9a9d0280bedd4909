"""The CAs above a CA, found by their signatures among given ones; judging is `fitness`'s."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509

from cipsec.pki.issued import directly_issued, is_root, is_self_issued

_MOST_ABOVE = 7


def above(
    certificate: x509.Certificate, pool: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Return the CAs above `certificate` that are in `pool`: its issuer first, the root last.

    Empty for a root. Where an issuer is missing the list ends before it. Of several certificates of
    one issuer a root's is taken: the shorter way.
    """
    candidates = sorted(pool, key=lambda one: not is_self_issued(one))
    path = [certificate]
    while not is_root(path[-1]) and len(path) <= _MOST_ABOVE:
        found = (c for c in candidates if c not in path and directly_issued(path[-1], c))
        issuer = next(found, None)
        if issuer is None:
            break
        path.append(issuer)
    return path[1:]
