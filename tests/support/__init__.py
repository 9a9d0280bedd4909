"""What tests of several parts share: a CA that is asked for real, a person at a terminal."""
