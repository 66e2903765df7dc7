"""Measures model files on a device, here or over ssh, and reports the results. NumPy and an interpreter alone."""
