"""Real runs that really end: killed, interrupted, in use. Each goes on as if nothing had happened."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from tfc.replay.replay import replay

MORE = ["method=fedavg", "rounds=4", "clients_per_round=2", "data.num_clients=4"]
CATCHING_UP = ["rounds=8", "clients_per_round=1", "training.learning_rate=1e-4"]
"""FedCompress, whose server keeps old broadcasts for clients that missed rounds."""


def command(settings, out, *more):
    settings = [*settings, *(CATCHING_UP if "catching-up" in str(out) else MORE)]
    words = [word for text in settings for word in ("--set", text)]
    return [sys.executable, "-m", "tfc", "run", "demo", *words, "--quiet", "--out", str(out), *more]


@pytest.fixture(scope="module")
def started(tiny_settings):
    """Starts runs; what still goes on at the end is ended."""
    running = []

    def start(out, *more):
        process = subprocess.Popen(
            command(tiny_settings, out, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def wait_for(path, process, seconds=240):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def metrics(run):
    rows = csv.DictReader((run / "metrics.csv").read_text().splitlines())
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_server_that_keeps_old_broadcasts_goes_on_with_them(started, tmp_path):
    reference, run = tmp_path / "catching-up-reference", tmp_path / "catching-up"
    alone = started(reference, "--record-payloads")
    _, error = alone.communicate()
    assert alone.returncode == 0, error
    assert sum(int(row["downlink_catch_up_bytes"]) for row in metrics(reference)[-4:]) > 0
    killed = started(run, "--record-payloads")
    wait_for(run / "checkpoints" / "round-4", killed)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    resumed = started(run, "--record-payloads")
    _, error = resumed.communicate()
    assert resumed.returncode == 0 and "resumes after round" in error
    assert metrics(run) == metrics(reference)
    assert files(run / "payloads") == files(reference / "payloads")


@pytest.mark.slow
def test_interrupted_killed_damaged_and_in_use_a_run_ends_as_if_left_alone(started, tmp_path):
    reference, run = tmp_path / "reference", tmp_path / "run"
    alone = started(reference, "--record-payloads")
    _, error = alone.communicate()
    assert alone.returncode == 0, error

    # Ctrl-C: the round ends, a line says how to go on.
    interrupted = started(run, "--record-payloads")
    wait_for(run / "checkpoints", interrupted)
    interrupted.send_signal(signal.SIGINT)
    _, error = interrupted.communicate()
    assert interrupted.returncode == 130
    last = error.splitlines()[-1]
    assert last.startswith(f"interrupted: {run}: round ") and last.endswith("the same command resumes the run after it")

    # kill -9, and the newest checkpoint loses a bit.
    kept = sorted((run / "checkpoints").iterdir())[-1]
    after = run / "checkpoints" / f"round-{int(kept.name.removeprefix('round-')) + 1}"
    killed = started(run, "--record-payloads")
    wait_for(after, killed)
    os.kill(killed.pid, signal.SIGKILL)
    _, error = killed.communicate()
    assert f"{run}: resumes after round {kept.name.removeprefix('round-')} of 4" in error
    newest = max((run / "checkpoints").glob("round-*"), key=lambda path: int(path.name.removeprefix("round-")))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)

    # Two at a time: the second is told who is there. (The lock file stays: wait until the new owner has signed it.)
    resumed = started(run, "--record-payloads")
    while (run / "run.lock").read_text() != f"{resumed.pid}\n":
        assert resumed.poll() is None, resumed.communicate()[1]
        time.sleep(0.01)
    second = started(run, "--record-payloads")
    _, refused = second.communicate()
    assert second.returncode == 1
    assert refused.splitlines()[-1].startswith(f"error: {run} is in use by process {resumed.pid}: ")
    _, error = resumed.communicate()
    assert resumed.returncode == 0, error
    assert f"warning: {newest}: skipped: its checksum is wrong" in error
    assert f"resumes after round {int(newest.name.removeprefix('round-')) - 1} of 4" in error

    assert metrics(run) == metrics(reference)
    left, right = (tf.keras.models.load_model(path / "model.keras").get_weights() for path in (run, reference))
    assert [weights.tobytes() for weights in left] == [weights.tobytes() for weights in right]
    assert files(run / "payloads") == files(reference / "payloads")
    assert all(row.broadcast_equal and row.mean_equal for row in replay(run))
    assert not (run / "checkpoints").exists()
    assert not [path for path in run.rglob(".*")], "nothing temporary is left"


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait_and_a_sweep_goes_on(tiny_settings, tmp_path):
    words = [word for text in [*tiny_settings, *MORE[1:], "rounds=6"] for word in ("--set", text)]
    sweep = [sys.executable, "-m", "tfc", "sweep", "demo", "--methods", "fedavg", *words, "--quiet", "--out", tmp_path]
    run = tmp_path / "fedavg-seed0"
    first = subprocess.Popen(sweep, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(run / "checkpoints" / "round-1", first)
        first.send_signal(signal.SIGINT)
        assert first.stderr.readline() == "\n"
        assert first.stderr.readline() == "ending after this round; Ctrl-C again ends at once\n"
        first.send_signal(signal.SIGINT)
        _, error = first.communicate(timeout=60)
    finally:
        first.kill()
    assert first.returncode == 130 and error.splitlines()[-1].startswith("interrupted")
    assert not (run / "summary.json").exists()
    again = subprocess.run(sweep, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"{run}: resumes after round " in again.stderr
    assert [row["round"] for row in metrics(run)] == [str(number) for number in range(1, 7)]
