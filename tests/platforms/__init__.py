"""The platforms that are not at hand, as far as they can be played."""
