"""The server's front: sockets, TLS and HTTP in; `est.wire.Request` out to whoever answers it."""
