"""Data sets, their partition into clients, and out-of-distribution inputs for the server."""
