"""Good files with every bit wrong once: each reader answers, or raises its own error."""
