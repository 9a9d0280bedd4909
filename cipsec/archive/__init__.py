"""PKCS#12, opened in a process of its own: one that can be ended, by a limit and by Ctrl-C."""
