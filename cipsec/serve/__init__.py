"""`cipsec ca serve`: joins store, RA, EST, TLS and DNS-SD to a server, and ends it in order."""
