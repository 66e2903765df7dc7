"""`edge bench --host`: over a real ssh server on loopback, and through a shell of this machine in its place."""

import getpass
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from programs import needs_root, program

from edge.cli import main
from edge.measuring.bench import bench_files
from edge.measuring.interleaving import BenchSettings
from edge.measuring.remote import remote_names
from tfc.base.errors import EdgeError

QUICK = ["--min-runs", "20", "--min-seconds", "0"]


@pytest.fixture
def ssh_command(tmp_path):
    """A real OpenSSH server on loopback, with keys made for it; the command that reaches it."""
    server, keygen = program("sshd", "openssh-server"), program("ssh-keygen", "openssh-client")
    program("ssh", "openssh-client")
    needs_root("an ssh server lets nobody else in")
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/user.pub\n"
        "StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([server, "-D", "-e", "-f", tmp_path / "config"], stderr=subprocess.PIPE) as process:
        for _ in range(100):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        known = f"-o UserKnownHostsFile={tmp_path}/known -o StrictHostKeyChecking=accept-new -o BatchMode=yes"
        try:
            yield f"ssh -p {port} -i {tmp_path}/user -o IdentitiesOnly=yes {known}"
        finally:
            process.terminate()


@pytest.mark.system
def test_measures_over_ssh_and_leaves_nothing_behind(ssh_command, exported, tmp_path, capsys, monkeypatch):
    there = tmp_path / "there"
    there.mkdir()
    host = f"{getpass.getuser()}@127.0.0.1"
    # Where `mktemp -d` on that machine puts its folder.
    monkeypatch.setattr("edge.measuring.remote.MAKE_FOLDER", f"mktemp -d -p {there}")
    files = [str(exported / f"model-{variant}.tflite") for variant in ("f32", "int8")]
    words = ["bench", *files, "--data", str(exported / "test.npz"), *QUICK, "--host", host, "--ssh", ssh_command]
    assert main([*words, "--json", str(tmp_path / "b.json"), "--html", str(tmp_path / "b.html")]) == 0
    result = json.loads((tmp_path / "b.json").read_text())
    assert result["host"] == host and result["complete"] and result["data"] == str(exported / "test.npz")
    assert [item["path"] for item in result["files"]] == files
    assert all(item["latency_ms"]["runs"] >= 20 and item["accuracy"] is not None for item in result["files"])
    assert host in (tmp_path / "b.html").read_text()
    shown = capsys.readouterr()
    assert [line.split(": ")[1].split()[0] for line in shown.err.splitlines()] == ["copying", "installing", "measuring"]
    assert list(there.iterdir()) == []
    with pytest.raises(EdgeError, match=r"nobody-at-all@127\.0\.0\.1: no connection: .*Permission denied"):
        _bench("nobody-at-all@127.0.0.1", Path(files[0]), ssh_command)


def _bench(host, file, ssh, **options):
    from edge.measuring.remote import RemoteSettings, bench_on

    return bench_on(
        host, [file], baseline=None, data=None, runtime="auto", options=QUICK, settings=RemoteSettings(ssh, **options)
    )


@pytest.fixture
def local_shell(tmp_path):
    """Takes a host and a command, as ssh does, and runs the command here."""
    path = tmp_path / "shell"
    path.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
    path.chmod(0o755)
    return str(path)


def test_errors_there_come_back_in_one_line_and_the_folder_goes(wheel, local_shell, exported, tmp_path, monkeypatch):
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.setattr("edge.measuring.remote.MAKE_FOLDER", f"mktemp -d -p {there}")
    (tmp_path / "text.tflite").write_text("hello")
    file = exported / "model-int8.tflite"
    for given, python, message in (
        (file, "no-such-python", r"pi: 'no-such-python -m venv' failed \(on Debian: apt install python3-venv\)"),
        (tmp_path / "text.tflite", "python3", r"pi: edge bench failed: models/0/text.tflite: not a TFLite model"),
    ):
        with pytest.raises(EdgeError, match=message):
            _bench("pi", given, local_shell, wheel=wheel, python=python)
        assert list(there.iterdir()) == []


KEEPS = """
import pathlib, signal, sys
from edge.measuring import remote
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, in children too
remote.MAKE_FOLDER = "mktemp -d -p " + sys.argv[2]
connection = remote._Connection("pi", remote.RemoteSettings(sys.argv[1]))
with remote._temporary_folder(connection) as folder:
    print(folder, flush=True)
    connection.run(remote._kept(folder, "sleep 1000"), "measuring")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_folder_goes_and_what_runs_there_ends_however_this_side_ends(number, local_shell, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", KEEPS, local_shell, there],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    ) as process:
        folder = Path(process.stdout.readline().decode().strip())
        measured = wait_for(lambda: (folder / "pid").is_file() and int((folder / "pid").read_text() or 0))
        process.send_signal(number)
        try:
            process.wait(20)
        finally:
            process.kill()
    assert wait_for(lambda: not list(there.iterdir()))
    assert wait_for(lambda: not Path(f"/proc/{measured}").exists())


def test_a_dead_connection_is_noticed_there(local_shell, tmp_path, monkeypatch):
    from edge.measuring import remote

    monkeypatch.setattr("edge.measuring.remote.MAKE_FOLDER", f"mktemp -d -p {tmp_path}")
    monkeypatch.setattr("edge.measuring.remote._LOST_SECONDS", 1)
    monkeypatch.setattr("edge.measuring.remote._BEAT_SECONDS", 0.2)
    connection = remote._Connection("pi", remote.RemoteSettings(local_shell))
    with remote._temporary_folder(connection) as folder:
        time.sleep(2.5)
        assert Path(folder).is_dir(), "lines still come"
    assert not Path(folder).exists()
    monkeypatch.setattr("edge.measuring.remote._beat", lambda pipe, done: None)
    with remote._temporary_folder(connection) as folder:
        assert wait_for(lambda: not Path(folder).exists())


def wait_for(what, seconds=20):
    for _ in range(10 * seconds):
        found = what()
        if found:
            return found
        time.sleep(0.1)
    return what()


@pytest.mark.parametrize(
    "words,message",
    [
        (["--host", ""], "--host takes a machine as ssh does"),
        (["--host", " "], "--host takes a machine as ssh does"),
        (["--host", "pi\nzero"], r"such as pi@raspberrypi; found 'pi\nzero'"),
        (["--host=-oProxyCommand=x"], "--host takes a machine as ssh does"),
        (["--host", "pi", "--ssh", "no-such-program -p 1"], "no such program"),
        (["--host", "pi", "--runtime", "tflm"], "--host measures with auto, litert, tflite, all"),
        (["--host", "pi", "--data", "none.npz"], "none.npz: no such file"),
        (["--host", "pi", "--wheel", "none.whl"], "none.whl: no such file"),
        (["--host", "pi", "--benchmark-model", "tool"], "not together with --host"),
    ],
)
def test_bad_words_are_refused_before_anything_is_copied(words, message, exported, capsys):
    assert main(["bench", str(exported / "model-int8.tflite"), *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line


def test_a_machine_that_fails_takes_nothing_from_those_before_it(exported, tmp_path, monkeypatch, capsys):
    file = exported / "model-int8.tflite"
    measured = bench_files([file], settings=BenchSettings(min_runs=20, min_seconds=0, slices=2))

    def bench_on(host, *_, **__):
        if host == "pi@second":
            raise EdgeError(f"{host}: no connection: timed out")
        return {**measured, "host": host}

    monkeypatch.setattr("edge.measuring.remote.bench_on", bench_on)
    words = ["bench", str(file), "--host", "pi@first", "--host", "pi@second", "--json", str(tmp_path / "b.json")]
    assert main(words) == 1
    assert capsys.readouterr().err == "error: pi@second: no connection: timed out\n"
    assert [path.name for path in tmp_path.iterdir()] == ["b-pi-first.json"]
    assert json.loads((tmp_path / "b-pi-first.json").read_text())["host"] == "pi@first"


def test_files_of_one_folder_stay_together():
    names = remote_names([Path("a/m-f32.tflite"), Path("b/m-f32.tflite"), Path("a/m-int8.tflite")])
    assert list(names.values()) == ["models/0/m-f32.tflite", "models/1/m-f32.tflite", "models/0/m-int8.tflite"]


def test_the_wheel_holds_the_packages_and_no_leftovers(wheel):
    import zipfile

    names = zipfile.ZipFile(wheel).namelist()
    assert "edge/measuring/bench.py" in names and "tfc/codec/palette.py" in names and "tfc/presets/demo.toml" in names
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"edge", "tfc"}
    root = Path(__file__).parents[3]
    assert all((root / name).is_file() for name in names if "dist-info" not in name)
