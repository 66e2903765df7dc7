"""The version of the distribution `fedcompress`."""

__version__ = "0.1.0"
