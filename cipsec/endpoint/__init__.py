"""An endpoint's own acts: find a server, trust it, enroll, renew, and keep the identity on disk."""
