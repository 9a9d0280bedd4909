"""Independent programs as peers."""
