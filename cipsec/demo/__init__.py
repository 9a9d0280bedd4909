"""Each way of granting on one machine, played with the real commands; showing it is `_cli`'s."""
