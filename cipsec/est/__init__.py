"""EST, RFC 7030 and its updates: both ends, without a socket."""
