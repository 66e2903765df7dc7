"""The ground floor: what both packages share. NumPy and the standard library alone."""
