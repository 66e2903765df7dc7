"""All errors that a user can cause and fix, under one base class.

The command lines report each in one line: what is wrong, where, and what to do.
"""


class FedCompressError(Exception):
    """Base of all errors of both packages.

    Examples:
        >>> import tfc
        >>> try:
        ...     tfc.load("demo", {"rounds": 0})
        ... except tfc.FedCompressError as error:  # whatever of tfc or edge refuses it
        ...     print(error)
        rounds must be at least 1; found 0
    """


class TfcError(FedCompressError):
    """Base of the errors of the federated side.

    Examples:
        >>> import tfc
        >>> issubclass(tfc.ConfigError, tfc.TfcError), issubclass(tfc.DataError, tfc.TfcError)
        (True, True)
    """


class ConfigError(TfcError):
    """A configuration has an unknown key, a wrong type, or a value outside its range.

    Examples:
        >>> import tfc
        >>> try:
        ...     tfc.load("demo", {"data.num_clients": "many"})
        ... except tfc.ConfigError as error:
        ...     print(error)
        data.num_clients must be of type int, found 'many', str
    """


class DataError(TfcError):
    """A data set is missing, damaged, or does not fit the configuration.

    Examples:
        >>> import tfc
        >>> try:
        ...     tfc.load_dataset(tfc.load("demo", {"data": {"dataset": "npz", "data_dir": "missing.npz"}}))
        ... except tfc.DataError as error:
        ...     print(error)
        missing.npz: ...
    """


class RunError(TfcError):
    """A run cannot start, or cannot go on.

    Examples:
        >>> import tfc
        >>> try:
        ...     tfc.read_run("out")
        ... except tfc.RunError as error:
        ...     print(error)
        out: config.toml is missing: it is not a run's folder
    """


class RunInterruptedError(TfcError):
    """The user ended a run between two rounds; the same command continues it.

    Examples:
        >>> import tfc
        >>> def run_until_interrupted(config, out):
        ...     try:
        ...         return tfc.run(config, out)
        ...     except tfc.RunInterruptedError as error:
        ...         print(error)  # the rounds so far are kept; the same call resumes after them
    """


class WorkerError(TfcError):
    """TFF's worker process did not start, or ended before its time.

    Examples:
        >>> import tfc
        >>> worker = tfc.WorkerProcess(listen="192.0.2.1:5000")  # an address that this machine does not have
        >>> try:
        ...     worker.wait_until_serving()
        ... except tfc.WorkerError as error:
        ...     print(error)
        ... finally:
        ...     worker.stop()
        TFF's worker: cannot listen on 192.0.2.1:5000: ...
    """


class EdgeError(FedCompressError):
    """Base of the errors of the device side.

    Examples:
        >>> import edge
        >>> try:
        ...     edge.bench_files(["missing.tflite"])
        ... except edge.EdgeError as error:  # whatever of edge refuses it
        ...     print(error)
        missing.tflite: cannot be read: No such file or directory
    """


class ModelFileError(EdgeError):
    """A file is no model of the expected form, or a runtime can't run it.

    Examples:
        >>> import edge
        >>> try:
        ...     edge.inspect("bench.json")
        ... except edge.ModelFileError as error:
        ...     print(error)
        bench.json: not a TFLite model (bytes 4 to 7 are not TFL3)
    """


class UnsafeModelError(ModelFileError):
    """A model file holds code, or names code outside of Keras that would run when it is loaded."""


class RuntimeMissingError(EdgeError):
    """No TFLite interpreter is installed, or not the one asked for.

    Examples:
        >>> import edge
        >>> try:
        ...     edge.find_runtime("tensorrt")
        ... except edge.RuntimeMissingError as error:
        ...     print(error)
        no runtime is called 'tensorrt'; known: auto, litert, tflite, tflm
    """


class DataFileError(EdgeError):
    """A data file is missing, damaged, or does not fit the model.

    Examples:
        >>> import edge
        >>> try:
        ...     edge.read_bench("missing.json")
        ... except edge.DataFileError as error:
        ...     print(error)
        missing.json: not a readable file of 'edge bench --json': ...
    """


class CodecError(FedCompressError, ValueError):
    """A payload is damaged or truncated, or is not of the expected form.

    Examples:
        >>> import tfc
        >>> spec = tfc.MessageSpec(kernel_shapes=(), other_shapes=((3,),), max_clusters=1)
        >>> try:
        ...     tfc.decode(b"GIF89a", spec)
        ... except tfc.CodecError as error:
        ...     print(error)
        the message ends at byte 6, inside its header (to byte 12)
    """


class NpzError(FedCompressError, ValueError):
    """A file is not a readable NPZ archive with the required arrays."""
