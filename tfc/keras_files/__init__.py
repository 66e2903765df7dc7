"""Keras model files: the one door through which both packages load them.

A file is read as data first: its content decides what it is, and its configuration is judged before anything is built.
Files saved by Keras 3 are rewritten for the pinned Keras 2.14.

A room of its own, since training and conversion both stand on it: importing it needs NumPy and the standard library
alone; the functions that read and build models import h5py and TensorFlow when they are called.
"""
