"""Model files on disk and in memory. NumPy alone."""
