"""A smartcard: PC/SC, PIV (NIST SP 800-73-5), and a key that signs and does not leave.

`pcsc` connects, `piv` speaks, `keys` signs; whom to ask for a PIN, and when, is left to the caller.
"""
