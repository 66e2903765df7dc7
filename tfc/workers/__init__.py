"""TFF's worker processes, of this machine and of others."""
