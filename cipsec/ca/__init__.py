"""The key: signs what it is told, decides nothing."""
