"""Starts and ends TFF's worker process on this machine.

TFF executes computations in a separate C++ program, `worker_binary`, that its wheel ships. TFF's own local context
starts that program with the parent's standard output and ends it from a destructor, so a killed parent leaves an
orphan that keeps a pipe open. This module starts the worker itself: it ends with its parent however the parent ends (a
parent-death signal, prctl(2)), inherits no standard stream, and is reached over gRPC exactly as a worker
on another machine would be. No other process can reach it (`tfc.workers.launcher`); where the
system does not permit that, there is no worker, unless the user accepts one that is open.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tfc.base.errors import WorkerError
from tfc.config.keys import CLIENTS_AT_A_TIME
from tfc.workers.launcher import Order, WorkerReport, split_address
from tfc.workers.worker_folder import WorkerFolder

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0
_PRIVATE_WAYS = (
    "permit network namespaces (as root, or unprivileged user namespaces: 'unshare -rn true' must succeed), use a "
    "'tfc worker' of a machine that permits them (--workers), or accept that whoever reaches this machine can run "
    "programs as this user: --insecure-worker, or insecure_worker = true in the configuration"
)
_LOG = logging.getLogger(__name__)


def worker_binary() -> Path:
    """Returns the path of the worker program in the installed TFF wheel.

    Raises:
        WorkerError: If TFF is not installed or its wheel has no worker.
    """
    # Looked up, not imported: importing TFF takes ten seconds, and a host that only serves does not need it.
    found = importlib.util.find_spec("tensorflow_federated")
    if found is None or not found.submodule_search_locations:
        raise WorkerError("TensorFlow Federated is not installed; run: make setup")
    path = Path(found.submodule_search_locations[0]) / "data" / "worker_binary"
    if not path.is_file():
        raise WorkerError(f"{path} is missing: reinstall tensorflow-federated 0.87.0 (make setup)")
    return path


def firewall_advice(port: int) -> str:
    """Returns the commands that close a port to other machines.

    Args:
        port: A TCP port.
    """
    return (
        f"iptables -I INPUT ! -i lo -p tcp --dport {port} -j DROP && "
        f"ip6tables -I INPUT ! -i lo -p tcp --dport {port} -j DROP"
    )


class WorkerProcess:
    """One worker process of this machine.

    Examples:
        >>> import tfc
        >>> worker = tfc.WorkerProcess()
        >>> worker.wait_until_serving().error
        ''
        >>> worker.stop()
    """

    def __init__(
        self, *, log: str | Path | None = None, listen: str = "", private: bool = True, insecure: bool = False
    ) -> None:
        """Starts the process; returns before it serves.

        Args:
            log: File for the worker's output; None for a temporary file that is removed with the process.
            listen: `HOST:PORT` of the worker; empty for a socket in a folder that only this user can enter.
            private: Whether it runs in a network namespace; False is for measurements, and opens its port to all.
            insecure: Whether it may listen on all interfaces where the system permits no network namespace; without,
                there is no worker then.

        Raises:
            WorkerError: If the program is missing.
        """
        binary = str(worker_binary())
        self._folder = WorkerFolder()
        self._log: IO[bytes] = Path(log).open("ab+") if log else tempfile.TemporaryFile()  # noqa: SIM115
        self._reading, writing = os.pipe()
        # As many clients train at the same time as there are cores: with all of a round at once, TensorFlow mixes their
        # operations, and every client's activations are held together.
        order = Order(
            parent=os.getpid(),
            program=[binary, f"--max_concurrent_computation_calls={len(os.sched_getaffinity(0))}"],
            listen=listen or f"unix:{self._folder.path}/worker",
            private=private,
            insecure=insecure,
            report_to=writing,
        )
        self._launched = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._launch_error: OSError | None = None
        self._report: WorkerReport | None = None
        # The kernel sends the signal when the *thread* that started the child ends, so that thread must not end.
        threading.Thread(target=self._launch, args=(order,), name="tff-worker", daemon=True).start()
        self._launched.wait()
        os.close(writing)
        if self._process is None:
            self.stop()
            raise WorkerError(f"cannot start {sys.executable}: {self._launch_error}")

    def _launch(self, order: Order) -> None:
        source_root = str(Path(__file__).parents[2])
        environment = {
            # The worker's threads start and end with clients; malloc's arena per thread would keep the memory that they
            # freed.
            "MALLOC_ARENA_MAX": "2",
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
            "PYTHONPATH": os.pathsep.join(filter(None, [source_root, os.environ.get("PYTHONPATH")])),
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tfc.workers.launcher", json.dumps(vars(order))],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=environment,
                pass_fds=(order.report_to,),
                start_new_session=True,  # at Ctrl-C the run ends the round first, then the worker
            )
        except OSError as error:
            self._launch_error = error
            return
        finally:
            self._launched.set()
        self._process.wait()

    def wait_until_serving(self, timeout_s: float = _START_TIMEOUT_S) -> WorkerReport:
        """Waits until the worker accepts connections, once; later calls return at once.

        Args:
            timeout_s: Seconds before it counts as failed.

        Returns:
            The worker's report: process id, address, and whether only that address reaches it.

        Raises:
            WorkerError: If it ended, its address is taken, or it does not serve in time.
        """
        if self._report is not None:
            return self._report
        if not select.select([self._reading], [], [], timeout_s)[0]:
            raise WorkerError(f"TFF's worker does not answer after {timeout_s:.0f} s")
        with os.fdopen(os.dup(self._reading)) as pipe:
            text = pipe.read()
        report = WorkerReport(**json.loads(text)) if text else WorkerReport(error="it ended at its start")
        if report.why_not and report.error:
            raise WorkerError(f"TFF's worker was not started: {report.error}: {report.why_not}; {_PRIVATE_WAYS}")
        if report.error:
            raise WorkerError(f"TFF's worker: {report.error}; its last output: {self.last_words() or 'none'}")
        self._report = report
        if not report.private:
            port = split_address(report.address)[1]
            _LOG.warning(
                "TFF's worker listens on all interfaces, port %d, without authentication (no private network: %s): "
                "every user of this machine, and every machine that reaches it, can run programs as this user; to "
                "close the port to other machines: %s",
                port,
                report.why_not,
                firewall_advice(port),
            )
        return report

    @property
    def pid(self) -> int:
        """The worker's process id, once it serves."""
        return self.wait_until_serving().pid

    @property
    def pids(self) -> tuple[int, ...]:
        """All processes that were started for it, once it serves."""
        assert self._process is not None
        return (self.pid, self._process.pid)

    @property
    def address(self) -> str:
        """The worker's address, as gRPC writes addresses, once it serves."""
        return self.wait_until_serving().address

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Does nothing while the process runs.

        Raises:
            WorkerError: If it has ended.
        """
        if not self.is_alive():
            raise WorkerError(f"TFF's worker ended during the run; its last output: {self.last_words() or 'none'}")

    def last_words(self) -> str:
        """The last line that the worker printed, or an empty string."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def stop(self) -> None:
        """Ends the process and waits for it; a second call has no effect."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if not self._log.closed:
            self._log.close()
            os.close(self._reading)
            self._folder.cleanup()


@contextlib.contextmanager
def local_worker(
    *, max_concurrent_clients: int = CLIENTS_AT_A_TIME, log: str | Path | None = None, insecure: bool = False
) -> Iterator[WorkerProcess]:
    """Starts a worker on this machine, makes it TFF's default context, ends it and restores the context on leaving.

    Args:
        max_concurrent_clients: Clients that the worker trains at a time, which decides how much memory it needs; 0 for
            all of a round.
        log: File for the worker's output.
        insecure: Whether it may listen on all interfaces where the system permits no network namespace.

    Yields:
        The worker, for its address and process id.

    Raises:
        WorkerError: If the worker does not start, does not answer within a minute, or could not be private.

    Examples:
        >>> import tfc
        >>> with tfc.local_worker() as worker:
        ...     worker.is_alive()  # a process built with TFF runs in it here
        True
    """
    from tfc.workers.context import Connection, DividedContext, default_context

    worker = WorkerProcess(log=log, insecure=insecure)
    try:
        with (
            contextlib.closing(Connection(worker.wait_until_serving().address, worker.check)) as connection,
            default_context(DividedContext([connection], max_concurrent_clients)),
        ):
            yield worker
    finally:
        worker.stop()
