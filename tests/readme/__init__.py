"""The README's command lines, run as they are shown."""
