"""Every error that a user can cause and mend, in one family.

The command lines report each in one line: what is wrong, where, and what to do.
"""


class FedCompressError(Exception):
    """Base of all errors of both packages."""


class TfcError(FedCompressError):
    """Base of the errors of the federated side."""


class ConfigError(TfcError):
    """A configuration has an unknown key, a wrong type, or a value outside its range."""


class DataError(TfcError):
    """A data set is missing, damaged, or does not fit the configuration."""


class RunError(TfcError):
    """A run cannot start, or cannot go on."""


class RunInterruptedError(TfcError):
    """The user ended a run between two rounds; the same command continues it."""


class WorkerError(TfcError):
    """TFF's worker process did not start, or ended before its time."""


class EdgeError(FedCompressError):
    """Base of the errors of the device side."""


class ModelFileError(EdgeError):
    """A file is no model of the expected form, or a runtime can't run it."""


class UnsafeModelError(ModelFileError):
    """A model file holds code, or names code outside of Keras that would run when it is loaded."""


class RuntimeMissingError(EdgeError):
    """No TFLite interpreter is installed, or not the one asked for."""


class DataFileError(EdgeError):
    """A data file is missing, damaged, or does not fit the model."""


class CodecError(FedCompressError, ValueError):
    """A payload is damaged or truncated, or is not of the expected form."""


class NpzError(FedCompressError, ValueError):
    """A file is no readable NPZ archive with the arrays asked for."""
