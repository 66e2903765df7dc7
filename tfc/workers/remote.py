"""Connects to TFF workers on other machines, and detects lost ones."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import tensorflow_federated as tff

from tfc.base.errors import ConfigError, WorkerError
from tfc.config.keys import CLIENTS_AT_A_TIME
from tfc.workers.context import Connection, DividedContext, answers, default_context
from tfc.workers.launcher import split_address
from tfc.workers.local import local_worker

_ANSWER_TIMEOUT_S = 10.0
_PROBE_EVERY_S = 4.0
_PROBES_TO_BE_LOST = 2


def worker_addresses(text: str) -> list[str]:
    """Splits the value of `--workers`.

    Args:
        text: `host:port,host:port`.

    Raises:
        ConfigError: If it is not that, or names a worker twice.
    """
    addresses = [part.strip() for part in text.split(",") if part.strip()]
    for address in addresses:
        try:
            if split_address(address)[1] == 0:
                raise ValueError(f"{address!r}: port 0 is not allowed")
        except ValueError as error:
            raise ConfigError(f"--workers takes host:port,host:port: {error}") from error
    if not addresses:
        raise ConfigError("--workers takes host:port,host:port; found nothing")
    if len(set(addresses)) < len(addresses):
        raise ConfigError(f"--workers names a worker twice: {text}")
    return addresses


class RemoteWorker:
    """A worker that somebody started with `tfc worker`.

    A process that ends closes its connections, and calls fail at once. A machine that is cut off does not: so the
    worker's port is probed every few seconds, and after two failures in a row the connection is closed.
    """

    def __init__(self, address: str) -> None:
        """Connects.

        Args:
            address: `host:port`.

        Raises:
            WorkerError: If there is no answer within ten seconds, or the answer is not a TFF worker's.
        """
        self.address = address
        self._lost = threading.Event()
        self._closed = threading.Event()
        self.connection = Connection(address, self.check)
        try:
            self.check()
            with contextlib.closing(tff.framework.RemoteExecutor(self.connection.stub)) as executor:
                executor.set_cardinalities({tff.CLIENTS: 0})
        except (grpc.RpcError, tff.framework.RetryableError) as error:
            self.close()
            raise WorkerError(f"{address} answers, but is not a worker of TFF 0.87: {_code(error)}") from error
        except WorkerError:
            self.close()
            raise
        threading.Thread(target=self._watch, name=f"watch {address}", daemon=True).start()

    def check(self) -> None:
        """Does nothing while the worker answers.

        Raises:
            WorkerError: If it does not.
        """
        if self._lost.is_set() or not answers(self.address, _ANSWER_TIMEOUT_S):
            port = split_address(self.address)[1]
            raise WorkerError(
                f"worker {self.address} does not answer: start it there ('tfc worker --port {port}'), or leave it out "
                "of --workers"
            )

    def _watch(self) -> None:
        failures = 0
        while not self._closed.wait(_PROBE_EVERY_S):
            try:
                socket.create_connection(split_address(self.address), timeout=_PROBE_EVERY_S).close()
                failures = 0
            except OSError:
                failures += 1
            if failures == _PROBES_TO_BE_LOST:
                self._lost.set()
                self.connection.close()
                return

    @property
    def lost(self) -> bool:
        """Whether the connection was closed as lost."""
        return self._lost.is_set()

    def close(self) -> None:
        """Closes the connection; the worker keeps running and serves others."""
        self._closed.set()
        self.connection.close()


def _code(error: BaseException) -> str:
    return str(error.code()) if isinstance(error, grpc.Call) else type(error).__name__


@contextlib.contextmanager
def workers_of_run(
    addresses: Sequence[str], *, max_concurrent_clients: int = CLIENTS_AT_A_TIME, insecure: bool = False
) -> Iterator[tuple[int, ...]]:
    """Makes the workers of a run TFF's default context: those named, or one of this machine.

    Args:
        addresses: `host:port` of each; empty for a worker of its own.
        max_concurrent_clients: Clients that each worker trains at a time; 0 for all of its share.
        insecure: Whether one of its own may listen on all interfaces where it can't be private.

    Yields:
        Process ids of the worker processes started on this machine.

    Raises:
        WorkerError: If one of them does not answer, or is gone.
    """
    if not addresses:
        with local_worker(max_concurrent_clients=max_concurrent_clients, insecure=insecure) as worker:
            yield worker.pids
        return
    with remote_workers(addresses, max_concurrent_clients=max_concurrent_clients):
        yield ()


@contextlib.contextmanager
def remote_workers(
    addresses: Sequence[str], *, max_concurrent_clients: int = CLIENTS_AT_A_TIME
) -> Iterator[tuple[RemoteWorker, ...]]:
    """Makes workers of other machines TFF's default context, and restores the one before on leaving.

    Args:
        addresses: `host:port` of each.
        max_concurrent_clients: As `workers_of_run` takes it.

    Yields:
        The workers.

    Raises:
        WorkerError: If one of them does not answer at the start, or, on leaving, because a computation failed since
            one of them is gone.
    """
    workers: list[RemoteWorker] = []
    with contextlib.ExitStack() as stack:
        for address in addresses:
            workers.append(RemoteWorker(address))
            stack.callback(workers[-1].close)
        try:
            connections = [worker.connection for worker in workers]
            with default_context(DividedContext(connections, max_concurrent_clients)):
                yield tuple(workers)
        except Exception as error:
            _raise_if_lost(workers, error)
            raise


def _raise_if_lost(workers: Sequence[RemoteWorker], error: Any) -> None:
    """A call that the watcher cancelled fails with an error of gRPC's."""
    if not isinstance(error, WorkerError):
        for worker in workers:
            if worker.lost:
                worker.check()
