"""`tfc worker`: serves runs of other machines with one worker, until Ctrl-C."""

from __future__ import annotations

import signal
import threading

from tfc.base.errors import ConfigError
from tfc.workers.launcher import WorkerReport, split_address
from tfc.workers.local import WorkerProcess

_LOOK_EVERY_S = 0.5
_LOOPBACK = ("127.", "::1", "localhost")


def listening_address(host: str, port: int) -> str:
    """Joins a host and a port.

    Args:
        host: Name or address; an IPv6 address with or without brackets.
        port: 0 for a free one.

    Raises:
        ConfigError: If they are not a valid address.
    """
    address = f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
    try:
        split_address(address)
    except ValueError as error:
        raise ConfigError(f"--listen and --port: {error}") from error
    return address


def described(report: WorkerReport) -> str:
    """Returns where a worker is reached and by whom; never less than what is so.

    Args:
        report: The worker's.
    """
    host, port = split_address(report.address)
    runs = "can run programs as this user"
    if not report.private:
        reach = f"every user of this machine, and every machine that reaches it, {runs}"
        return f"all addresses of this machine, port {port} (NOT private: {reach}"
    if host.startswith(_LOOPBACK):
        return f"{report.address} (every user of this machine {runs}"
    return f"{report.address} (anyone who can connect to this address {runs}"


def serve(host: str, port: int, *, insecure: bool = False) -> None:
    """Serves until SIGINT or SIGTERM; prints one line when it is ready.

    Args:
        host: Address of this machine to listen on.
        port: 0 for a free one.
        insecure: Whether it may listen on all interfaces where the system permits no network namespace.

    Raises:
        ConfigError: If host and port are not a valid address.
        WorkerError: If the worker does not start, could not be private, or ends by itself.
    """
    address = listening_address(host, port)
    asked_to_end = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: asked_to_end.set()) for number in signals]
    worker = WorkerProcess(listen=address, insecure=insecure)
    try:
        report = worker.wait_until_serving()
        print(f"worker serves at {described(report)}; Ctrl-C ends it)", flush=True)
        while not asked_to_end.wait(_LOOK_EVERY_S):
            worker.check()
    finally:
        worker.stop()
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
