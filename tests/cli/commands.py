"""Commands on a CA, by what they need of it, and an id that no request has."""

from __future__ import annotations

ID = "0123456789abcdef"
READ = [
    ["ca", "pending"],
    ["ca", "show"],
    ["ca", "show", ID],
    ["ca", "list"],
    ["ca", "log"],
    ["user", "list"],
]
WRITE = [["ca", "approve", ID], ["ca", "reject", ID], ["user", "remove", "alice", "-y"]]
POLICY = [["policy", "show"]]
