"""What runs a model file: interpreters, and the verification of one file against another. NumPy and an interpreter."""
