"""The registration authority: who may have a certificate, and why."""
