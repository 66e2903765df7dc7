"""The modules that both packages share; they need NumPy and the standard library alone."""
