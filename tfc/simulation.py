"""The loop over rounds: samples clients, runs the learning process, evaluates, writes the run's folder."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import platform
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tensorflow as tf
from tqdm import tqdm

from tfc import __version__
from tfc import config as configuration
from tfc.attempts import PlayedRound, play_round
from tfc.checkpoints import Checkpoint, latest_checkpoint, write_checkpoint
from tfc.codec.message_spec import float32_message_bytes
from tfc.codec.whole_file import written_whole
from tfc.config import AUDIO_SETS, ExperimentConfig
from tfc.data.dataset import Dataset, resized
from tfc.data.datasets import DATASETS
from tfc.data.ood import OodFn
from tfc.data.ood_sources import OOD_SOURCES
from tfc.data.partition import PARTITIONS, Clients
from tfc.data.pixels import to_float
from tfc.errors import ConfigError, DataError, RunInterruptedError
from tfc.federated.client_data import client_data_type
from tfc.federated.global_model import CLIENT_SCALARS, ModelFn
from tfc.federated.ledger import DownlinkLedger
from tfc.federated.process import METHODS, counted_by_formula, process_spec, unrecordable
from tfc.interruption import Interruption
from tfc.models import MODELS
from tfc.models.own_model import is_model_file, own_model
from tfc.observation import RunObserver
from tfc.payload_recorder import PayloadRecorder
from tfc.remote_workers import workers_of_run
from tfc.resumption import resumes
from tfc.run_folder import FinishedRun, RoundMetrics, RunFolder, read_run, writing
from tfc.run_lock import RunLock
from tfc.seeds import Purpose, generator

_EVALUATION_BATCH = 500

_CHECKPOINTS = "checkpoints"

UPLINK_FORMS = {
    "eden": "rotated",
    "fedavg": "float32",
    "fedzip": "sparse clusters",
    "stc": "sparse ternary",
    "tff8bit": "8 bit",
}
"""What clients send, by method; for FedCompress a setting."""

CALIBRATION_EXAMPLES = 256
"""Inputs of the representative data set that a run leaves beside its model."""


def load_dataset(config: ExperimentConfig) -> Dataset:
    """Loads the configured data set, images padded and channels repeated as configured.

    Raises:
        DataError: If it is missing, damaged, or can't be brought to the configured shape.
    """
    data_dir = Path(config.data.data_dir).expanduser() if config.data.data_dir else None
    dataset = DATASETS[config.data.dataset](data_dir, config.data)
    return resized(dataset, config.data.image_size, config.data.channels)


def load_clients(config: ExperimentConfig, dataset: Dataset) -> Clients:
    """Divides the training set among clients as configured; nothing is copied yet.

    Raises:
        DataError: If there are too few examples.
    """
    parts = PARTITIONS[config.data.partition](dataset.y_train, dataset.owners, config.data, config.seed)
    return Clients(dataset.x_train, dataset.y_train, parts, config.data.validation_fraction, config.seed)


def model_builder(config: ExperimentConfig, input_shape: tuple[int, ...], num_classes: int) -> ModelFn:
    """Returns a function that builds the configured Keras model with its initial weights.

    Args:
        config: Names the model, or its file; the seed decides a named model's initial weights.
        input_shape: Shape of one input.
        num_classes: Length of the logits.

    Raises:
        ConfigError: If a model's file can't be read, or the model does not fit the data.
    """
    if is_model_file(config.model.name):
        return own_model(Path(config.model.name).expanduser(), input_shape, num_classes)
    return functools.partial(
        MODELS[config.model.name],
        input_shape,
        num_classes,
        seed=config.seed,
        batchnorm_momentum=config.model.batchnorm_momentum,
    )


def build_ood(config: ExperimentConfig, input_shape: tuple[int, ...]) -> OodFn:
    """Returns the configured out-of-distribution pipeline.

    Raises:
        DataError: If the folder has no such files, or the model's input is of another kind.
    """
    server = config.server
    kind = server.ood if server.ood != "auto" else "audio" if config.data.dataset in AUDIO_SETS else "images"
    source = OOD_SOURCES[kind]
    if server.ood_dir:
        return source.folder(Path(server.ood_dir).expanduser(), server.ood_examples, server.batch_size, input_shape)
    return source.procedural(server.ood_examples, server.batch_size, input_shape, config.seed)


def peak_rss_mb(worker_pids: Sequence[int]) -> float:
    """Peak memory of this process and of workers on this machine, in MB (10^6 bytes).

    Args:
        worker_pids: The workers' process ids.
    """

    def peak(pid: int) -> int:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
        except (OSError, StopIteration):
            return int(psutil.Process(pid).memory_info().rss)

    return sum(map(peak, (os.getpid(), *worker_pids))) / 1e6


def _versions() -> dict[str, str]:
    names = ["tensorflow", "tensorflow-federated", "tensorflow-model-optimization", "numpy"]
    packages = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **packages, "fedcompress": __version__}


def _summary(
    config: ExperimentConfig,
    dataset: Dataset,
    model: tf.keras.Model,
    rounds: tuple[RoundMetrics, ...],
    seconds: float,
    rss_mb: float,
) -> dict[str, Any]:
    uplink = sum(row.uplink_bytes for row in rounds)
    downlink = sum(row.downlink_bytes for row in rounds)
    # What FedAvg would send: every parameter as float32, both directions, for the same clients and rounds.
    clients = sum(row.clients_ok + row.clients_failed for row in rounds)
    answers = sum(row.clients_ok for row in rounds)
    fedavg_downlink = clients * float32_message_bytes(model.count_params(), 0)
    fedavg_uplink = answers * float32_message_bytes(model.count_params(), CLIENT_SCALARS)
    best = max(rounds, key=lambda row: row.accuracy)
    last = rounds[-3:]

    def ratio(reference: int, sent: int) -> float | None:
        return round(reference / sent, 4) if sent else None

    return {
        "method": config.method,
        "aggregation": config.aggregation,
        "rounds": len(rounds),
        "final_accuracy": rounds[-1].accuracy,
        "last3_accuracy": round(sum(row.accuracy for row in last) / len(last), 6),
        "best_accuracy": best.accuracy,
        "uplink_bytes": uplink,
        "downlink_bytes": downlink,
        "uplink_counted_by": "formula" if counted_by_formula(config) else "payloads",
        "fedavg_bytes": fedavg_uplink + fedavg_downlink,
        "communication_ratio": ratio(fedavg_uplink + fedavg_downlink, uplink + downlink),
        "uplink_ratio": ratio(fedavg_uplink, uplink),
        "downlink_ratio": ratio(fedavg_downlink, downlink),
        "parameters": int(model.count_params()),
        "seconds": round(seconds, 1),
        "simulated_seconds": round(sum(row.simulated_seconds for row in rounds), 1),
        "peak_rss_mb": round(rss_mb, 1),
        "num_clusters": rounds[-1].num_clusters,
        "uplink": UPLINK_FORMS.get(config.method, config.communication.uplink),
        "dataset": config.data.dataset,
        "synthetic": dataset.synthetic,
        "model": config.model.name,
        "seed": config.seed,
        "versions": _versions(),
    }


def run(
    config: ExperimentConfig,
    out: Path,
    *,
    force: bool = False,
    progress: bool = True,
    record_payloads: bool = False,
    workers: Sequence[str] = (),
) -> FinishedRun:
    """Runs one experiment from its first round to its last and writes its folder.

    Args:
        config: The experiment.
        out: The run's folder.
        force: Whether an existing run there is replaced. Without it one that was not finished goes on.
        progress: Whether a progress bar is shown on standard error.
        record_payloads: Whether every payload is kept in the folder, for `tfc.replay`.
        workers: `host:port` of workers on other machines; empty for one of this machine's own.

    Returns:
        The finished run.

    Raises:
        TfcError: If the data, the configuration or the folder do not allow the run. Until the learning process is
            built nothing is written, and nothing replaced.
        RunInterruptedError: If the user pressed Ctrl-C and the round that was running has ended.
    """
    refusal = unrecordable(config) if record_payloads else ""
    if refusal:
        raise ConfigError(f"--record-payloads does not go with {refusal}")
    with RunLock(out) as lock:
        lock.take_if_there()
        resumes(out, config, force=force, record_payloads=record_payloads)
        return _run(config, out, lock, force=force, progress=progress, record_payloads=record_payloads, workers=workers)


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)


def _run(
    config: ExperimentConfig,
    out: Path,
    lock: RunLock,
    *,
    force: bool,
    progress: bool,
    record_payloads: bool,
    workers: Sequence[str],
) -> FinishedRun:
    from tfc.figures import save_figures

    dataset = load_dataset(config)
    clients = load_clients(config, dataset)
    ood_fn = build_ood(config, dataset.input_shape)

    model_fn = model_builder(config, dataset.input_shape, dataset.num_classes)
    started = time.monotonic()
    bar = tqdm(total=config.rounds, desc=f"{config.method} (building)", disable=not progress, unit="round")
    with (
        bar,
        contextlib.ExitStack() as stack,
        workers_of_run(workers, max_concurrent_clients=config.max_concurrent_clients) as worker_pids,
    ):
        data_type = client_data_type(dataset.input_shape, dataset.x_train.dtype)
        try:
            process = METHODS[config.method](model_fn, data_type, config, ood_fn, record_payloads=record_payloads)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        state = process.initialize()
        # Only now is it certain that the run can start: a refused one leaves what is there alone.
        lock.take()
        checkpoint = None
        if resumes(out, config, force=force, record_payloads=record_payloads):
            checkpoint = latest_checkpoint(out / _CHECKPOINTS, state, _say)
            _say(
                f"{out}: goes on after round {checkpoint.round} of {config.rounds}"
                if checkpoint
                else f"{out}: not finished and without a checkpoint: starts with round 1"
            )
        counts = tuple(map(tuple, clients.class_counts(dataset.num_classes).tolist()))
        folder = RunFolder(out, checkpoint.rows if checkpoint else None)
        with writing(out):
            folder.write_text("config.toml", configuration.to_toml(config))
            folder.write_class_counts(counts)
        observer = stack.enter_context(RunObserver(out, config.rounds, config.method, _versions()))
        model = model_fn()
        cross_entropy = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(loss=cross_entropy, metrics=["accuracy"])
        test = tf.data.Dataset.from_tensor_slices((dataset.x_test, dataset.y_test)).batch(_EVALUATION_BATCH)
        test = test.map(lambda x, y: (to_float(x), y))
        bar.set_description(config.method)
        done, ledger, broadcasts = 0, DownlinkLedger(), {}
        if checkpoint:
            done, state, ledger, broadcasts = (
                checkpoint.round,
                checkpoint.state,
                checkpoint.ledger,
                dict(checkpoint.broadcasts),
            )
            started -= checkpoint.seconds
            bar.update(done)
        recorder = None
        if record_payloads:
            with writing(out):
                recorder = PayloadRecorder(out / "payloads", process_spec(model_fn, config), done, broadcasts)
        total_bytes = sum(row.uplink_bytes + row.downlink_bytes for row in folder.rounds)
        process.get_model_weights(state).assign_weights_to(model)
        with Interruption() as interruption:
            for round_number in range(done + 1, config.rounds + 1):
                round_started = time.monotonic()
                broadcast = state.global_model_weights
                played = play_round(config, process, state, clients, ledger, round_number)
                state = played.state
                if recorder:
                    with writing(out):
                        recorder.add(round_number, broadcast, played.shipments, played.metrics)
                seconds = time.monotonic() - round_started
                process.get_model_weights(state).assign_weights_to(model)
                loss, accuracy = model.evaluate(test, verbose=0)
                metrics = _round_metrics(round_number, accuracy, loss, played, seconds)
                needed = recorder.needed(ledger, config.data.num_clients) if recorder else {}
                with writing(out):
                    folder.add_round(metrics)
                    elapsed = time.monotonic() - started
                    write_checkpoint(
                        out / _CHECKPOINTS,
                        Checkpoint(round_number, state, ledger, folder.rounds, elapsed, needed),
                    )
                observer.add_round(metrics, state.global_model_weights)
                total_bytes += metrics.uplink_bytes + metrics.downlink_bytes
                clusters = metrics.num_clusters or "-"
                bar.set_postfix_str(
                    f"accuracy={accuracy:.4f}, clusters={clusters}, MB={total_bytes / 1e6:.2f}", refresh=False
                )
                bar.update()
                if interruption.requested:
                    raise RunInterruptedError(
                        f"{out}: round {round_number} of {config.rounds} is kept: the same command goes on after it"
                    )
        rss_mb = peak_rss_mb(worker_pids)
    with writing(out):
        # A model that was never compiled: an optimizer that never ran has no place in the file.
        final = model_fn()
        final.set_weights(model.get_weights())
        with written_whole(out / "model.keras") as temporary:
            final.save(temporary)
        _write_calibration(dataset, config.seed, CALIBRATION_EXAMPLES, out)
        summary = _summary(config, dataset, model, folder.rounds, time.monotonic() - started, rss_mb)
        summary["model_bytes"] = (out / "model.keras").stat().st_size
        save_figures([FinishedRun(out, summary, folder.rounds, counts)], out / "figures")
        folder.write_summary(summary)
        shutil.rmtree(out / _CHECKPOINTS, ignore_errors=True)  # a finished run needs none
    return read_run(out)


def _round_metrics(
    round_number: int, accuracy: float, loss: float, played: PlayedRound, seconds: float
) -> RoundMetrics:
    finalizer = played.metrics["finalizer"]
    faults = (played.clients_dropped, played.clients_not_finite, played.clients_corrupt, played.clients_late)
    return RoundMetrics(
        round_number,
        round(float(accuracy), 6),
        round(float(loss), 6),
        num_clusters=int(finalizer["num_clusters"]),
        quality_score=round(float(finalizer["quality_score"]), 6),
        uplink_bytes=played.uplink_bytes,
        downlink_bytes=played.downlink_bytes,
        key_frame_bytes=int(played.metrics["distributor"]["key_frame_bytes"]),
        rate_weight=round(float(finalizer["rate_weight"]), 6),
        clients_ok=played.clients_ok,
        clients_failed=sum(faults),
        seconds=round(seconds, 3),
        clients_dropped=faults[0],
        clients_not_finite=faults[1],
        clients_corrupt=faults[2],
        clients_late=faults[3],
        attempts=played.attempts,
        simulated_seconds=round(played.simulated_seconds, 3),
    )


def write_device_data(
    config: ExperimentConfig, out: Path, calibration_examples: int = CALIBRATION_EXAMPLES
) -> list[Path]:
    """Writes what export and benchmark need: calibration.npz from training data, test.npz from the test set.

    Args:
        config: Names the data set.
        out: Folder for the two files.
        calibration_examples: Training inputs in calibration.npz (the representative data set of quantisation).

    Returns:
        The two paths. calibration.npz holds x; test.npz holds x and y; x is float32 as the models take it.

    Raises:
        DataError: If the data set is missing, or has fewer examples than asked for.
    """
    dataset = load_dataset(config)
    if not 1 <= calibration_examples <= len(dataset.x_train):
        raise DataError(
            f"--calibration-examples must be between 1 and {len(dataset.x_train)}; found {calibration_examples}"
        )
    _write_calibration(dataset, config.seed, calibration_examples, out)
    with written_whole(out / "test.npz") as temporary:
        np.savez_compressed(temporary, x=to_float(tf.constant(dataset.x_test)).numpy(), y=dataset.y_test)
    return [out / _CALIBRATION, out / "test.npz"]


_CALIBRATION = "calibration.npz"


def _write_calibration(dataset: Dataset, seed: int, count: int, out: Path) -> None:
    """Writes inputs of clients to the folder, as many as there are up to `count`: a simulation may look at them."""
    chosen = generator(seed, Purpose.CALIBRATION).permutation(len(dataset.x_train))[:count]
    with written_whole(out / _CALIBRATION) as temporary:
        np.savez_compressed(temporary, x=to_float(tf.constant(dataset.x_train[np.sort(chosen)])).numpy())
