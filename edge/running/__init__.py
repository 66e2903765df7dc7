"""Runs model files in interpreters, and verifies one file against another. NumPy and an interpreter alone."""
