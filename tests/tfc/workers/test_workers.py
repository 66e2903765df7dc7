"""TFF's worker process: starts, serves, and never outlives who started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tfc.base.errors import WorkerError
from tfc.workers import local as workers

USES_A_WORKER = """
import sys, time
from tfc.workers.local import local_worker
import numpy as np, tensorflow_federated as tff
with local_worker() as worker:
    @tff.tensorflow.computation(np.float32)
    def twice(x):
        return 2 * x
    print("pid", worker.pid, "result", twice(21.0), flush=True)
    time.sleep(float(sys.argv[1]))
    if sys.argv[2] == "raise":
        raise SystemExit(3)
"""


def wait_until_gone(pid, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("ending,code", [("return", 0), ("raise", 3)])
def test_a_piped_run_ends_and_its_worker_with_it(ending, code):
    # `cat` sees the end of its input only once nobody holds the pipe any more.
    shell = f"{sys.executable} -c '{USES_A_WORKER}' 0 {ending} 2>/dev/null | cat; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    words = done.stdout.split()
    assert words[2:] == ["result", "42.0"]
    assert wait_until_gone(int(words[1]))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_parent_takes_its_worker_along(number):
    parent = subprocess.Popen(
        [sys.executable, "-c", USES_A_WORKER, "60", "return"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    pid = int(parent.stdout.readline().split()[1])
    assert psutil.pid_exists(pid)
    os.kill(parent.pid, number)
    parent.wait(10)
    parent.stdout.close()
    assert wait_until_gone(pid)


def test_a_worker_inherits_no_standard_stream(worker):
    streams = [str(Path(f"/proc/{worker.pid}/fd/{number}").readlink()) for number in range(3)]
    assert streams[0] == "/dev/null"
    assert not set(streams[1:]) & {str(Path(f"/proc/{os.getpid()}/fd/{number}").readlink()) for number in range(3)}


def test_a_worker_lets_go_of_what_it_was_sent(worker):
    @tff.tensorflow.computation(tff.TensorType(np.float32, [None]))
    def total(values):
        return tf.reduce_sum(values)

    sent = np.ones(5_000_000, np.float32)  # 20 MB
    process = psutil.Process(worker.pid)
    for number in range(25):
        assert total(sent) == 5_000_000
        if number == 4:
            before = process.memory_info().rss
    assert process.memory_info().rss - before < 200e6, "20 values of 20 MB each would take 400"


def test_a_worker_that_fails_at_its_start_is_reported_with_its_last_words(monkeypatch, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such port >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(workers, "worker_binary", lambda: broken)
    with pytest.raises(WorkerError, match="last output: no such port"), workers.local_worker():
        pass


def test_a_worker_that_dies_between_two_computations_is_reported_instead_of_waited_for():
    code = """
import os, signal, numpy as np, tensorflow_federated as tff
from tfc.base.errors import WorkerError
from tfc.workers.local import local_worker

@tff.tensorflow.computation(np.float32)
def twice(x):
    return 2 * x

try:
    with local_worker() as worker:
        assert twice(21.0) == 42.0
        os.kill(worker.pid, signal.SIGKILL)
        twice(1.0)
except WorkerError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "TFF's worker ended during the run" in done.stdout, done.stderr[-500:]


def test_stopping_twice_does_no_harm():
    process = workers.WorkerProcess()
    process.stop()
    process.stop()
    assert not process.is_alive()
