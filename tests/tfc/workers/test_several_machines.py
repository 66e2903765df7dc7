"""Several workers as if on several machines: the same result as one, and one clear error when one is missing."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from tensorflow_federated.proto.v0 import executor_pb2
from tiny_federation import DATA_TYPE, OOD, data_of, examples, model_fn, settings

from tfc.base.errors import ConfigError, WorkerError
from tfc.cli import main
from tfc.registries import METHODS
from tfc.workers.context import merged_in_order
from tfc.workers.local import WorkerProcess
from tfc.workers.remote import RemoteWorker, remote_workers, worker_addresses
from tfc.workers.serve import listening_address

CLIENTS = [examples(seed) for seed in range(3)]


@contextlib.contextmanager
def workers_on_ports(count):
    processes = [WorkerProcess(listen="127.0.0.1:0") for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.stop()


@pytest.fixture(scope="module")
def two_workers():
    with workers_on_ports(2) as processes:
        yield processes


def addresses_of(processes):
    return [process.address for process in processes]


def weights_after(process, rounds):
    state = process.initialize()
    for number in range(1, rounds + 1):
        output = process.next(state, data_of(CLIENTS, number))
        state = output.state
    model = process.get_model_weights(state)
    return [np.asarray(weight) for weight in (*model.trainable, *model.non_trainable)], output.metrics


# FedCompress' graphs take a minute and more to trace and compile.
BOTH = ["fedavg", pytest.param("fedcompress", marks=pytest.mark.slow)]


@pytest.mark.parametrize("method", BOTH)
def test_however_clients_are_divided_the_result_is_that_of_one_worker(worker, two_workers, method):
    process = METHODS[method](model_fn, DATA_TYPE, settings(), OOD, record_payloads=True)
    expected, expected_metrics = weights_after(process, 3)
    # Three clients: two workers, two workers that take one at a time, one worker that takes two.
    for workers, most in ((two_workers, 0), (two_workers, 1), (two_workers[:1], 2)):
        with remote_workers(addresses_of(workers), max_concurrent_clients=most):
            found, metrics = weights_after(process, 3)
        for left, right in zip(expected, found, strict=True):
            np.testing.assert_array_equal(left, right)
        # The payloads too, and in the order of the clients, whoever finished first.
        for name in ("data", "lengths"):
            left, right = (getattr(each["aggregator"]["payloads"], name) for each in (expected_metrics, metrics))
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_parts_are_merged_in_their_order_and_few_times_each(count):
    parts = [(str(number), 0) for number in range(count)]
    text, copies = merged_in_order(parts, lambda left, right: (left[0] + right[0], max(left[1], right[1]) + 1))
    assert text == "".join(map(str, range(count))) and copies == int(np.ceil(np.log2(count)))


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"fedavg", "fedcompress"}))
def test_every_method_splits_at_its_aggregation(worker, method):
    process = METHODS[method](model_fn, DATA_TYPE, settings(), OOD)
    form = tff.backends.native.compile_to_mergeable_comp_form(process.next)
    assert form.after_merge.type_signature.result.is_equivalent_to(process.next.type_signature.result)


@tff.tensorflow.computation(np.int32)
def count_up(steps):
    @tf.function
    def count():
        total = tf.constant(0)
        for _ in tf.range(steps):
            total += 1
        return total

    return count()


@tff.federated_computation(tff.FederatedType(np.int32, tff.CLIENTS))
def total(steps):
    return tff.federated_sum(tff.federated_map(count_up, steps))


def test_workers_train_at_the_same_time(two_workers):
    # Both processes burn time while a round is under way: one after the other, only one would.
    burned = {}

    def cpu(process):
        return sum(psutil.Process(process.pid).cpu_times()[:2])

    with remote_workers(addresses_of(two_workers)):
        assert total([3, 3, 4]) == 10
        before = [cpu(process) for process in two_workers]
        thread_done = threading.Event()

        def watch():
            while not thread_done.wait(0.05):
                for number, process in enumerate(two_workers):
                    if cpu(process) - before[number] > 0.2:
                        burned.setdefault(number, time.monotonic())

        watcher = threading.Thread(target=watch)
        watcher.start()
        total([200_000, 200_000])
        ended = time.monotonic()
        thread_done.set()
        watcher.join()
    assert set(burned) == {0, 1} and max(burned.values()) < ended


def test_fewer_clients_than_workers(two_workers):
    with remote_workers(addresses_of(two_workers)):
        assert total([11]) == 11


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_worker_that_is_missing_at_the_start_is_named(two_workers, tiny_settings, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tfc.workers.remote._ANSWER_TIMEOUT_S", 1.0)
    missing = f"127.0.0.1:{free_port()}"
    arguments = [part for text in tiny_settings for part in ("--set", text)]
    named = f"{two_workers[0].address},{missing}"
    assert main(["run", "demo", *arguments, "--workers", named, "--out", str(tmp_path / "run"), "--quiet"]) == 1
    words = capsys.readouterr().err.strip()
    assert words.startswith(f"error: worker {missing} does not answer") and "\n" not in words
    assert not (tmp_path / "run").exists()


def test_a_worker_that_dies_in_a_round_is_named_soon():
    with workers_on_ports(2) as processes:
        addresses = addresses_of(processes)
        with pytest.raises(WorkerError, match=f"worker {addresses[1]} does not answer"), remote_workers(addresses):
            assert total([1, 2]) == 3
            timer = threading.Timer(0.3, os.kill, (processes[1].pid, signal.SIGKILL))
            timer.start()
            started = time.monotonic()
            total([2_000_000_000, 2_000_000_000])
        assert time.monotonic() - started < 30


def test_a_machine_that_vanishes_without_a_word_is_noticed(monkeypatch):
    # Its kernel would go on answering for a stopped process: so the address is made one that nobody answers.
    monkeypatch.setattr("tfc.workers.remote._PROBE_EVERY_S", 0.2)
    with workers_on_ports(1) as (process,):
        address = process.address
        with pytest.raises(WorkerError, match=f"worker {address} does not answer"), remote_workers([address]):
            assert total([1, 2]) == 3
            os.kill(process.pid, signal.SIGSTOP)
            refuse = OSError("no route to host")
            monkeypatch.setattr(
                "tfc.workers.remote.socket.create_connection", lambda *_, **__: (_ for _ in ()).throw(refuse)
            )
            total([1, 2])


def test_values_are_given_up_without_waiting_for_a_worker_that_has_stopped():
    """The garbage collector may do so in the thread that is to notice that the worker has."""
    with workers_on_ports(1) as (process,), contextlib.closing(RemoteWorker(process.address)) as remote:
        os.kill(process.pid, signal.SIGSTOP)
        try:
            request = executor_pb2.DisposeRequest()
            thread = threading.Thread(target=remote.connection.stub.dispose, args=(request,), daemon=True)
            thread.start()
            thread.join(10)
            assert not thread.is_alive()
        finally:
            os.kill(process.pid, signal.SIGCONT)


def test_who_answers_but_is_no_worker_is_refused():
    from concurrent import futures

    import grpc

    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(WorkerError, match=f"127.0.0.1:{port} answers, but is not a worker"):
            RemoteWorker(f"127.0.0.1:{port}")
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize(
    "text,message",
    [
        ("", "found nothing"),
        ("host", "'host' is not HOST:PORT"),
        ("a:1,b:x", "'b:x' is not HOST:PORT"),
        ("a:70000", "less than 65536"),
        ("a:0", "port 0"),
        ("::1:7000", "is not HOST:PORT"),
        ("a:1,a:1", "twice"),
    ],
)
def test_what_is_no_list_of_workers_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        worker_addresses(text)


def test_addresses():
    assert worker_addresses("a:1, [::1]:7000") == ["a:1", "[::1]:7000"]
    assert listening_address("::1", 7) == listening_address("[::1]", 7) == "[::1]:7"
    with pytest.raises(ConfigError, match="less than 65536"):
        listening_address("127.0.0.1", 70_000)


def start_command(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tfc", "worker", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_that_it_serves_and_ends_when_asked_to(number):
    command = start_command("--port", "0")
    line = command.stdout.readline()
    address = line.split()[3]
    host, port = address.rsplit(":", 1)
    assert line.startswith("worker serves at 127.0.0.1:")
    children = psutil.Process(command.pid).children(recursive=True)
    worker = RemoteWorker(address)
    worker.close()
    command.send_signal(number)
    output, errors = command.communicate(timeout=20)
    assert (command.returncode, output, errors) == (0, "", "")
    assert len(children) == 2 and not any(child.is_running() for child in children)
    with pytest.raises(OSError):
        socket.create_connection((host, int(port)))


def test_the_command_refuses_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = start_command("--port", str(taken.getsockname()[1]))
        output, errors = command.communicate(timeout=30)
    assert command.returncode == 1 and output == ""
    assert "cannot listen on 127.0.0.1:" in errors and "Traceback" not in errors
