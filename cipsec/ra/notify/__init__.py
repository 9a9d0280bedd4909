"""Telling people: a follower of the log of events, so that no enrollment waits for a channel."""
