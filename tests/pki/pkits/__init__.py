"""NIST PKITS, through `cert verify` and through openssl."""
