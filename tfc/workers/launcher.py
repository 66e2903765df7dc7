"""Launches one TFF worker in a private network, forwards connections to it, and ends with it.

TFF's worker listens on all interfaces without authentication. Here it listens in a network namespace
(network_namespaces(7)) that has a loopback device only, so only this process can connect to it, which
accepts connections at one address of the machine and copies bytes. The listening socket is created before the process
enters the namespace; a socket stays in the network in which it was created, so one process can connect both networks.

It runs as a process of its own, `python -m tfc.workers.launcher ORDER`, and uses the standard library alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40
_RELAY_BYTES = 1 << 20
_INNER_PORT = 10_000
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Order:
    """A launcher's order, its only argument, as JSON.

    Attributes:
        parent: Process id of its parent; it ends with that process.
        program: The worker and its flags, without the port.
        listen: `unix:PATH`, or `HOST:PORT`.
        private: Whether to try a network namespace.
        insecure: Whether a worker without one may listen on all interfaces.
        report_to: File descriptor for the `WorkerReport`.
    """

    parent: int
    program: list[str]
    listen: str
    private: bool
    insecure: bool
    report_to: int


@dataclass(frozen=True)
class WorkerReport:
    """A launcher's report once its worker serves or has failed.

    Attributes:
        pid: The worker's process id.
        address: Address of the worker, as gRPC writes addresses.
        private: Whether it can be reached through that address only.
        why_not: Why it is not private; it then listens on all interfaces, whatever `address` names.
        error: Why there is no worker.

    Examples:
        >>> import tfc
        >>> worker = tfc.WorkerProcess()
        >>> report = worker.wait_until_serving()
        >>> report.pid == worker.pid, report.address == worker.address
        (True, True)
        >>> worker.stop()
    """

    pid: int = 0
    address: str = ""
    private: bool = False
    why_not: str = ""
    error: str = ""


def split_address(address: str) -> tuple[str, int]:
    """Splits `HOST:PORT` or `[IPV6]:PORT`.

    Args:
        address: The text.

    Raises:
        ValueError: If it is neither.
    """
    host, colon, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or (":" in bare and bare == host) or not (port.isascii() and port.isdigit()):
        raise ValueError(f"{address!r} is not HOST:PORT")
    if not 0 <= int(port) < 1 << 16:
        raise ValueError(f"{address!r}: a port is less than 65536")
    return bare, int(port)


def die_with_parent(parent: int) -> None:
    """Asks the kernel to kill this process when the thread that started it ends (prctl(2)).

    Args:
        parent: Process id of the parent.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the signal was set
        os._exit(1)


def _unshare(flags: int) -> None:
    if _LIBC.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def enter_private_network() -> None:
    """Moves this process to a new network namespace with a loopback device that is up.

    Without root, the process first enters a user namespace (user_namespaces(7)) that keeps its user id.

    Raises:
        OSError: If the system does not permit it.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(_CLONE_NEWNET)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        for name, content in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            Path("/proc/self", name).write_text(content)
    with socket.socket() as any_socket:
        request = struct.pack("16sh22x", b"lo", _IFF_UP | _IFF_RUNNING)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


def why_not_private() -> str:
    """Returns why the system permits no private network; an empty string where it does.

    The attempt is made in a child process, since a namespace can't be left again.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            enter_private_network()
        except OSError as error:
            os.write(writing, (error.strerror or str(error)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        reason = answer.read()
    os.waitpid(child, 0)
    return reason


def _listening_socket(address: str) -> socket.socket:
    if address.startswith("unix:"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address.removeprefix("unix:"))
        listener.listen()
        return listener
    return socket.create_server(_resolved(address)[1], family=_resolved(address)[0])


def _resolved(address: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
    host, port = split_address(address)
    family, _, _, _, found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, (str(found[0]), int(found[1]))


def _address_of(listener: socket.socket) -> str:
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if listener.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    """Copies bytes until the source ends, then closes the sink for writing."""
    buffer = bytearray(_RELAY_BYTES)
    view = memoryview(buffer)
    with contextlib.suppress(OSError):
        while count := source.recv_into(buffer):
            sink.sendall(view[:count])
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _relay(outer: socket.socket, port: int) -> None:
    """Relays an accepted connection to the worker, in both directions, until both have ended."""
    with outer, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as inner:
        for connection in (outer, inner):
            if connection.family != socket.AF_UNIX:
                # gRPC's small frames wait for answers; Nagle's algorithm would delay each by 40 ms.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=_pass_on, args=(inner, outer), daemon=True)
        back.start()
        _pass_on(outer, inner)
        back.join()


def _accept(listener: socket.socket, port: int) -> None:
    while True:
        try:
            outer, _ = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ECONNABORTED):
                return
            time.sleep(0.1)
            continue
        threading.Thread(target=_relay, args=(outer, port), daemon=True).start()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serves(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def launch(order: Order) -> int:
    """Starts the worker, reports, relays, and returns once the worker has ended.

    Args:
        order: The worker, its address and its network.
    """

    def report(what: WorkerReport) -> None:
        with os.fdopen(order.report_to, "w") as pipe:
            json.dump(asdict(what), pipe)

    try:
        # Bound first, also without a private network: if the address is in use, no worker is started.
        listener = _listening_socket(order.listen)
    except OSError as error:
        report(WorkerReport(error=f"cannot listen on {order.listen.removeprefix('unix:')}: {error.strerror or error}"))
        return 1
    address = _address_of(listener)
    why_not = why_not_private() if order.private else "not requested"
    if why_not and order.private and not order.insecure:
        report(WorkerReport(why_not=why_not, error="the system permits no private network for it"))
        return 1
    if why_not:
        on_tcp = listener.family != socket.AF_UNIX
        port = listener.getsockname()[1] if on_tcp else _free_port()
        address = address if on_tcp else f"127.0.0.1:{port}"
        listener.close()
    else:
        enter_private_network()
        port = _INNER_PORT
    die_with_parent(order.parent)  # entering a user namespace clears the parent-death signal
    me = os.getpid()
    try:
        worker = subprocess.Popen(
            [*order.program, f"--port={port}"],
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: die_with_parent(me),
        )
    except OSError as error:
        report(WorkerReport(error=f"cannot start {order.program[0]}: {error.strerror or error}"))
        return 1

    def end(number: int, frame: FrameType | None) -> None:
        worker.kill()  # the wait below then returns; waiting here would deadlock on a lock of the same thread

    signal.signal(signal.SIGTERM, end)
    while not _serves(port):
        if worker.poll() is not None:
            report(WorkerReport(error="it ended at its start"))
            return 1
        time.sleep(0.02)
    if not why_not:
        threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
    report(WorkerReport(worker.pid, address, not why_not, why_not))
    worker.wait()
    return 1


if __name__ == "__main__":
    # Threads of connections may still run: exit without waiting for them.
    os._exit(launch(Order(**json.loads(sys.argv[1]))))
