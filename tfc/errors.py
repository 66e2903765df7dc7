"""The errors that a user of `tfc` can cause and mend."""


class TfcError(Exception):
    """Base of all errors that are reported in one line: what is wrong, where, and what to do."""


class ConfigError(TfcError):
    """A configuration has an unknown key, a wrong type, or a value outside its range."""


class DataError(TfcError):
    """A data set is missing, damaged, or does not fit the configuration."""


class RunError(TfcError):
    """A run cannot start, or cannot go on."""


class RunInterruptedError(TfcError):
    """The user ended a run between two rounds; it can go on."""


class WorkerError(TfcError):
    """TFF's worker process did not start, or ended before its time."""
