"""A CA's folder in one file under a passphrase, and back again."""
