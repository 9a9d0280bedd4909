"""The names of events: stable codes, each with its meaning and its fields in docs/events.md.

A name that is not here cannot be recorded by mistake: mypy refuses it. None is ever renamed or
given another meaning; who says what to whom is left to `ra.notify`.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """What happened. Names read from a store may be others, of a later version, and plain texts."""

    # Enrollments, and what people decide about them.
    PENDING = "pending"
    REPLACEMENT = "replacement"
    REMINDER = "reminder"
    AGREED = "agreed"
    APPROVED = "approved"
    REJECTED = "rejected"
    REFUSED = "refused"
    GRANTED = "granted"

    # Certificates afterwards.
    EXPIRING = "expiring"
    REVOKED = "revoked"

    # What needs mending, or looks like an attack.
    POLICY_ERROR = "policy-error"
    CREDENTIAL_LOCKED = "credential-locked"

    # What administrators keep: credentials, lists, vendors.
    PROVISIONED = "provisioned"
    USER_ADDED = "user-added"
    USER_REMOVED = "user-removed"
    PASSWORD_SET = "password-set"  # noqa: S105  # the name of an event
    ALLOWLIST_ADDED = "allowlist-added"
    ALLOWLIST_REMOVED = "allowlist-removed"
    ALLOWLIST_IMPORTED = "allowlist-imported"
    VENDOR_ADDED = "vendor-added"
    VENDOR_REMOVED = "vendor-removed"

    # The CA itself.
    CA_CERTIFICATE = "ca-certificate"
    CA_PASSPHRASE = "ca-passphrase"  # noqa: S105  # the name of an event
    ROLLOVER_REQUESTED = "rollover-requested"
    ROLLOVER_PREPARED = "rollover-prepared"
    ROLLOVER_ACTIVATED = "rollover-activated"
    ROLLOVER_CANCELLED = "rollover-cancelled"
    CA_RETIRED = "ca-retired"

    # The record itself.
    LOG_CHAINED = "log-chained"
    BACKED_UP = "backed-up"
    RESTORED = "restored"
    REPORT_SIGNED = "report-signed"

    TEST = "test"  # of `notify test`, which no log holds
