"""What the record says at a moment, for people who were not there: reports and handovers."""
