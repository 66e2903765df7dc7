"""Starts and ends TFF's worker process and connects to it.

TFF executes computations in a separate C++ program, `worker_binary`, that its wheel ships. TFF's own local context
starts that program with the parent's standard output and ends it from a destructor, so a killed parent leaves an
orphan that keeps a pipe open. Here the worker is started by us: it ends with its parent whatever happens to the
parent (a parent-death signal, prctl(2)), inherits no standard stream, and is reached over gRPC exactly as a worker
on another machine would be.

TFF's worker listens on all interfaces and asks nobody who they are: run it behind a firewall, or on a machine that only
you can reach.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tfc.errors import WorkerError

_GRPC_MAX_BYTES = 2_000_000_000
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0
_PR_SET_PDEATHSIG = 1


def worker_binary() -> Path:
    """Returns the path of the worker program in the installed TFF wheel.

    Raises:
        WorkerError: If TFF is not installed or its wheel holds no worker.
    """
    try:
        import tensorflow_federated as tff
    except ImportError as error:
        raise WorkerError(f"TensorFlow Federated is not installed ({error}); run: make setup") from error
    path = Path(tff.__file__).parent / "data" / "worker_binary"
    if not path.is_file():
        raise WorkerError(f"{path} is missing: reinstall tensorflow-federated 0.87.0 (make setup)")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _exec_with_parent_death_signal(parent_pid: int, argv: list[str]) -> None:
    """Runs in the child: asks the kernel to kill it with its parent, then becomes the worker."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # the parent died before the signal was armed
        os._exit(1)
    os.execv(argv[0], argv)


class WorkerProcess:
    """One worker process of this machine.

    Attributes:
        port: The TCP port it serves on.
        pid: Its process id.
    """

    def __init__(self, *, max_concurrent_clients: int = 0, log: Path | None = None) -> None:
        """Starts the process; does not wait until it serves.

        Args:
            max_concurrent_clients: Clients that train at the same time; 0 leaves it to TFF (all of them).
            log: File for the worker's output; a temporary file that goes with the process where None.

        Raises:
            WorkerError: If the program is missing.
        """
        self.port = _free_port()
        binary = str(worker_binary())
        argv = [binary, f"--port={self.port}", f"--max_concurrent_computation_calls={max_concurrent_clients or -1}"]
        self._log: IO[bytes] = log.open("ab+") if log else tempfile.TemporaryFile()  # noqa: SIM115
        self._launched = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._launch_error: OSError | None = None
        # The kernel sends the signal when the *thread* that started the child ends, so that thread has to stay.
        threading.Thread(target=self._launch, args=(argv,), name="tff-worker", daemon=True).start()
        self._launched.wait()
        if self._process is None:
            raise WorkerError(f"cannot start {binary}: {self._launch_error}")

    def _launch(self, argv: list[str]) -> None:
        code = (
            "from tfc.workers import _exec_with_parent_death_signal as e; import sys; e(int(sys.argv[1]), sys.argv[2:])"
        )
        source_root = str(Path(__file__).parent.parent)
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
            "PYTHONPATH": os.pathsep.join(filter(None, [source_root, os.environ.get("PYTHONPATH")])),
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, str(os.getpid()), *argv],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=environment,
                start_new_session=True,  # Ctrl-C ends the round first, then we end the worker
            )
        except OSError as error:
            self._launch_error = error
            return
        finally:
            self._launched.set()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The worker's process id."""
        assert self._process is not None
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process is not None and self._process.poll() is None

    def last_words(self) -> str:
        """The last line that the worker printed, or an empty string."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def stop(self) -> None:
        """Ends the process and waits for it; calling it twice does no harm."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()


def _wait_until_ready(stub: Any, worker: WorkerProcess, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not stub.is_ready:
        if not worker.is_alive():
            raise WorkerError(f"TFF's worker ended at its start; its last words: {worker.last_words() or 'none'}")
        if time.monotonic() > deadline:
            raise WorkerError(f"TFF's worker does not answer on port {worker.port} after {timeout_s:.0f} s")
        time.sleep(0.05)


def connect(address: str) -> Any:
    """Returns TFF's stub for a worker.

    Args:
        address: `host:port`.

    Returns:
        A `tff.framework.RemoteExecutorGrpcStub`; its `is_ready` tells whether the worker answers.
    """
    import grpc
    import tensorflow_federated as tff

    options = [
        ("grpc.max_message_length", _GRPC_MAX_BYTES),
        ("grpc.max_receive_message_length", _GRPC_MAX_BYTES),
        ("grpc.max_send_message_length", _GRPC_MAX_BYTES),
        ("grpc.enable_http_proxy", 0),  # a proxy of the environment is not the way to one's own machine
    ]
    return tff.framework.RemoteExecutorGrpcStub(grpc.insecure_channel(address, options))


def execution_context(stub: Any, worker: WorkerProcess | None = None) -> Any:
    """Returns a TFF context that executes computations on one connected worker.

    Args:
        stub: What `connect` returned.
        worker: The process behind it, where it is ours: a computation on a dead one raises `WorkerError`.

    Returns:
        A `tff.framework.SyncExecutionContext`.
    """
    import tensorflow_federated as tff

    def executor_stack(cardinalities: dict[Any, int]) -> Any:
        # TFF repeats a call on a worker that does not answer, without end, and comes by here each time.
        if worker is not None and not worker.is_alive():
            raise WorkerError(f"TFF's worker ended during the run; its last words: {worker.last_words() or 'none'}")
        executor = tff.framework.RemoteExecutor(stub)
        executor.set_cardinalities({tff.CLIENTS: 0, **cardinalities})
        return executor

    return tff.framework.SyncExecutionContext(
        executor_fn=tff.framework.ResourceManagingExecutorFactory(executor_stack),
        compiler_fn=tff.backends.native.desugar_and_transform_to_native,
        transform_args=tff.tensorflow.transform_args,
        transform_result=tff.tensorflow.transform_result,
    )


@contextlib.contextmanager
def local_worker(*, max_concurrent_clients: int = 0, log: Path | None = None) -> Iterator[WorkerProcess]:
    """Starts a worker on this machine, makes it TFF's default context, ends it and restores the context on leaving.

    Args:
        max_concurrent_clients: Clients that train at the same time; 0 leaves it to TFF (all of them).
        log: File for the worker's output.

    Yields:
        The worker, for its port and process id.

    Raises:
        WorkerError: If the worker does not start, or does not answer within a minute.
    """
    import tensorflow_federated as tff

    worker = WorkerProcess(max_concurrent_clients=max_concurrent_clients, log=log)
    previous = tff.framework.get_context_stack().current
    try:
        stub = connect(f"localhost:{worker.port}")
        _wait_until_ready(stub, worker, _START_TIMEOUT_S)
        tff.framework.set_default_context(execution_context(stub, worker))
        yield worker
    finally:
        tff.framework.set_default_context(previous)
        worker.stop()
