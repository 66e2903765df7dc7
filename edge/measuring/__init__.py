"""What times model files on a device, here or over ssh, and the reports of it. NumPy and an interpreter."""
