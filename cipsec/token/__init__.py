"""PKCS#11 tokens, HSMs among them: where a key is, and a key that signs there and stays.

Needs the extra `cipsec[pkcs11]`; only the modules in here import it, and only when a token is used.
"""
