"""The errors that a user of `edge` can cause and mend."""


class EdgeError(Exception):
    """Base of all errors that are reported in one line: what is wrong, where, and what to do."""


class ModelFileError(EdgeError):
    """A file is no model of the expected form, or a runtime can't run it."""


class RuntimeMissingError(EdgeError):
    """No TFLite interpreter is installed, or not the one asked for."""


class DataFileError(EdgeError):
    """A data file is missing, damaged, or does not fit the model."""
