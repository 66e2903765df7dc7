"""Who reaches a worker: nobody but through the address it was given."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from programs import missing, needs_root, program

from tfc.workers import launcher as worker_launcher
from tfc.workers.launcher import split_address
from tfc.workers.local import WorkerProcess, firewall_advice


def accepts(host, port):
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=2):
        return True
    return False


def listening_ports(pid):
    """Ports that a process' network has listeners on, from the kernel's tables."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()]
    return {int(row[1].rsplit(":", 1)[1], 16) for row in rows if row[3] == "0A"}


def interfaces(pid):
    return [line.split(":")[0].strip() for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]]


@contextlib.contextmanager
def started(**options):
    process = WorkerProcess(**options)
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture
def permitted():
    reason = worker_launcher.why_not_private()
    if reason:
        missing(f"network namespaces: {reason}")


def test_a_runs_own_worker_has_no_network_and_its_socket_is_this_users(permitted):
    with started() as process:
        assert process.wait_until_serving().private
        assert interfaces(process.pid) == ["lo"]
        assert Path(f"/proc/{process.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
        assert listening_ports(process.pid) == {10_000}
        path = Path(process.address.removeprefix("unix:"))
        assert path.is_socket() and path.parent.stat().st_mode & 0o077 == 0
    assert not path.parent.exists()


def test_a_served_port_is_open_on_the_loopback_alone(permitted):
    with started(listen="127.0.0.1:0") as process:
        port = split_address(process.address)[1]
        assert accepts("127.0.0.1", port)
        # Another address of the same machine: a listener on all interfaces would accept.
        assert not accepts("127.0.0.2", port) and not accepts("127.0.0.1", 10_000)


def test_without_a_private_network_the_warning_says_how_to_close_the_port(caplog):
    with started(listen="127.0.0.1:0", private=False) as process:
        port = split_address(process.address)[1]
        assert not process.wait_until_serving().private
        assert accepts("127.0.0.1", port) and accepts("127.0.0.2", port)
    (record,) = caplog.records
    assert record.levelname == "WARNING" and firewall_advice(port) in record.getMessage()
    assert f"--dport {port} -j DROP" in firewall_advice(port)


def test_a_long_folder_for_temporary_files_does_not_matter(permitted, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("long" * 25)))
    (tmp_path / ("long" * 25)).mkdir()
    with started() as process:
        assert len(process.address) < 108


@pytest.mark.system
def test_a_user_without_rights_gets_a_private_worker_too():
    needs_root("to become another user")
    # As text, since that user may not be able to read this folder.
    source = Path(worker_launcher.__file__).read_text().split('if __name__ == "__main__":')[0]
    source += (
        "reason = why_not_private()\n"
        "print(reason)\n"
        "if not reason: enter_private_network(); print(os.getuid(), open('/proc/self/net/dev').read().count(':'))\n"
    )
    interpreter = shutil.which("python3", path="/usr/bin:/bin") or missing(
        "needs /usr/bin/python3: apt install python3"
    )
    nobody = 65534
    done = subprocess.run(
        [interpreter, "-c", source],
        capture_output=True, text=True, timeout=30, cwd="/", user=nobody, group=nobody, extra_groups=[],
    )  # fmt: skip
    reason, *rest = done.stdout.splitlines()
    if reason:
        missing(f"user namespaces: {reason}")
    assert rest == ["65534 1"], done.stderr


@pytest.fixture
def two_machines():
    """Two network namespaces, each joined with this one by a cable: the addresses of both ends of each."""
    needs_root("to make network namespaces")
    ip = program("ip", "iproute2")
    made = []

    def call(*arguments):
        subprocess.run([ip, *arguments], check=True, capture_output=True, text=True)

    try:
        for number in range(2):
            name, here, there = (f"tfc{kind}{os.getpid() % 10_000}{number}" for kind in ("", "h", "t"))
            call("netns", "add", name)
            made.append(name)
            call("link", "add", here, "type", "veth", "peer", "name", there)
            call("link", "set", there, "netns", name)
            call("addr", "add", f"10.213.{number}.1/24", "dev", here)
            call("link", "set", here, "up")
            for part in (["addr", "add", f"10.213.{number}.2/24", "dev", there], ["link", "set", there, "up"]):
                call("-n", name, *part)
            call("-n", name, "link", "set", "lo", "up")
        yield [(ip, name, f"10.213.{number}.2") for number, name in enumerate(made)]
    except subprocess.CalledProcessError as error:
        missing(f"virtual cables: {error.stderr.strip()}")
    finally:
        for name in made:
            call("netns", "del", name)


@pytest.mark.system
def test_a_run_over_two_machines_and_a_port_that_only_its_own_machine_reaches(two_machines):
    import tensorflow_federated as tff

    from tfc.workers.remote import remote_workers

    @tff.federated_computation(tff.FederatedType(np.int32, tff.CLIENTS))
    def total(values):
        return tff.federated_sum(values)

    commands = []
    try:
        for ip, name, address in two_machines:
            for listen, port in ((address, 7000), ("127.0.0.1", 7001)):
                inside = [sys.executable, "-m", "tfc", "worker", "--listen", listen, "--port", str(port)]
                command = subprocess.Popen([ip, "netns", "exec", name, *inside], stdout=subprocess.PIPE, text=True)
                commands.append(command)
                assert command.stdout.readline().startswith(f"worker serves at {listen}:{port}")
        for _, _, address in two_machines:
            assert accepts(address, 7000) and not accepts(address, 7001) and not accepts(address, 10_000)
        with remote_workers([f"{address}:7000" for _, _, address in two_machines]):
            assert total([1, 2, 3]) == 6
    finally:
        for command in commands:
            command.terminate()
            command.communicate(timeout=20)
