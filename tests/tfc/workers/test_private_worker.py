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

from tfc.base.errors import WorkerError
from tfc.workers import launcher as worker_launcher
from tfc.workers.launcher import WorkerReport, split_address
from tfc.workers.local import WorkerProcess, firewall_advice
from tfc.workers.serve import described
from tfc.workers.worker_folder import WorkerFolder


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


def no_namespaces(monkeypatch, tmp_path):
    """A sitecustomize that makes the launcher's process find no network namespace, as in many containers."""
    (tmp_path / "sitecustomize.py").write_text(
        "import ctypes\n"
        "class NoUnshare(ctypes.CDLL):\n"
        "    def __getattr__(self, name):\n"
        "        if name == 'unshare':\n"
        "            return lambda flags: (ctypes.set_errno(1), -1)[1]\n"
        "        return super().__getattr__(name)\n"
        "ctypes.CDLL = NoUnshare\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_without_a_private_network_there_is_no_worker_unless_it_is_asked_for(monkeypatch, tmp_path, caplog):
    no_namespaces(monkeypatch, tmp_path)
    refused = pytest.raises(WorkerError, match=r"Operation not permitted.*--insecure-worker")
    with started(listen="127.0.0.1:0") as process, refused:
        process.wait_until_serving()
    assert not caplog.records
    with started(listen="127.0.0.1:0", insecure=True) as process:
        report = process.wait_until_serving()
        assert not report.private and "Operation not permitted" in report.why_not
    (record,) = caplog.records
    assert "every user of this machine" in record.getMessage()


def test_the_commands_refuse_an_open_worker(monkeypatch, tmp_path, capfd):
    no_namespaces(monkeypatch, tmp_path)
    words = [sys.executable, "-m", "tfc", "worker", "--port", "0"]
    root = Path(worker_launcher.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 1 and not done.stdout and "--insecure-worker" in done.stderr
    with subprocess.Popen(
        [*words, "--insecure-worker"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        line = process.stdout.readline()
        process.terminate()
        process.communicate(timeout=20)
    assert "all addresses of this machine" in line and "NOT private" in line and "127.0.0.1" not in line


def test_what_is_said_of_an_address_is_never_less_than_what_is_so():
    private, host = WorkerReport(1, "127.0.0.1:7000", True), WorkerReport(1, "192.0.2.1:7000", True)
    assert described(private).startswith("127.0.0.1:7000 (every user of this machine can run programs")
    assert described(host).startswith("192.0.2.1:7000 (anyone who can connect to this address")
    assert described(WorkerReport(1, "127.0.0.1:7000", False, "why")).startswith("all addresses of this machine, port")


def test_folders_of_killed_workers_are_removed_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = (
        "import os, tempfile; tempfile.tempdir = os.environ['HERE']\n"
        "from tfc.workers.worker_folder import WorkerFolder\n"
        "print(WorkerFolder().path, flush=True); os.kill(os.getpid(), 9)\n"
    )
    root = str(Path(worker_launcher.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "HERE": str(tmp_path)}
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    left = Path(killed.stdout.strip())
    assert left.is_dir() and left.parent == tmp_path
    (tmp_path / "tfc-worker-link").symlink_to(tmp_path.parent)
    (tmp_path / "tfc-worker-new").mkdir()
    first = WorkerFolder()
    second = WorkerFolder()
    assert not left.exists() and first.path.is_dir() and second.path.is_dir()
    assert (tmp_path / "tfc-worker-new").is_dir() and tmp_path.parent.is_dir()
    for folder in (first, second, second):
        folder.cleanup()
    assert not first.path.exists() and not second.path.exists()


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
