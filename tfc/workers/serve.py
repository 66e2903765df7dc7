"""`tfc worker`: serves runs of other machines with one worker, until Ctrl-C."""

from __future__ import annotations

import signal
import threading

from tfc.base.errors import ConfigError
from tfc.workers.launcher import split_address
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


def serve(host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM; prints one line when it is ready.

    Args:
        host: Address of this machine to listen on.
        port: 0 for a free one.

    Raises:
        ConfigError: If host and port are not a valid address.
        WorkerError: If the worker does not start, or ends by itself.
    """
    address = listening_address(host, port)
    asked_to_end = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: asked_to_end.set()) for number in signals]
    worker = WorkerProcess(listen=address)
    try:
        report = worker.wait_until_serving()
        if report.private and not split_address(report.address)[0].startswith(_LOOPBACK):
            reach = "anyone who can connect to this address can run programs as this user"
        else:
            reach = "only this machine can connect" if report.private else "NOT private"
        print(f"worker serves at {report.address} ({reach}; Ctrl-C ends it)", flush=True)
        while not asked_to_end.wait(_LOOK_EVERY_S):
            worker.check()
    finally:
        worker.stop()
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
