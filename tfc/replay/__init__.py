"""A run's recorded payloads, and their replay by a decoder in NumPy."""
