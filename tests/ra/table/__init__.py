"""The table of models and credentials: what is shown, what has to come of it, and why."""
