"""What is signed: pure functions over cryptography's objects; no file, no network."""
