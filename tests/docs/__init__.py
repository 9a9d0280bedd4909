"""The documents' examples, run and loaded as they are shown."""
