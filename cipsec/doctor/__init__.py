"""`cipsec doctor`: what is wrong, or soon will be, with this machine, a CA, an identity.

Every check looks and changes nothing. Showing what they find is left to `_cli`.
"""
