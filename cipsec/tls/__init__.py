"""TLS: client and server contexts, channel binding, and a look at what a server presents."""
