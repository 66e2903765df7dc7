"""Palettes for the integer codes of trained kernels, without training: NumPy alone, arrays in, arrays out."""
