"""The loop over rounds: samples clients, runs the learning process, evaluates, writes the run's folder."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from tqdm import tqdm

from tfc import config as configuration
from tfc.base.atomic_write import atomic_write
from tfc.base.errors import ConfigError, RunInterruptedError
from tfc.config import ExperimentConfig
from tfc.data.pixels import to_float
from tfc.federated.broadcast_tracker import BroadcastTracker
from tfc.federated.client_data import client_data_type
from tfc.registries import METHODS
from tfc.replay.recorder import PayloadRecorder, recorded_spec, unrecordable
from tfc.simulation.checkpoints import Checkpoint, latest_checkpoint, write_checkpoint
from tfc.simulation.device_data import CALIBRATION_EXAMPLES, write_calibration
from tfc.simulation.experiment import build_ood, load_clients, load_dataset, model_builder
from tfc.simulation.folder import FinishedRun, RoundMetrics, RunFolder, read_run, writing
from tfc.simulation.interruption import Interruption
from tfc.simulation.lock import RunLock
from tfc.simulation.observer import RunObserver
from tfc.simulation.resumption import resumes
from tfc.simulation.round import PlayedRound, play_round
from tfc.simulation.summary import peak_rss_mb, summarise, versions
from tfc.workers.remote import workers_of_run

_EVALUATION_BATCH = 500

_CHECKPOINTS = "checkpoints"


def run(
    config: ExperimentConfig,
    out: str | Path,
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

    Examples:
        >>> import tfc
        >>> tiny = {"rounds": 2, "data": {"num_clients": 2, "examples_per_client": 40}}
        >>> config = tfc.load("demo", {**tiny, "training.batch_size": 16, "server.ood_examples": 32})
        >>> finished = tfc.run(config, "runs/tiny", progress=False)
        >>> [row.round for row in finished.rounds]
        [1, 2]
    """
    out = Path(out)
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
    from tfc.report.figures import save_figures

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
        observer = stack.enter_context(RunObserver(out, config.rounds, config.method, versions()))
        model = model_fn()
        cross_entropy = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(loss=cross_entropy, metrics=["accuracy"])
        test = tf.data.Dataset.from_tensor_slices((dataset.x_test, dataset.y_test)).batch(_EVALUATION_BATCH)
        test = test.map(lambda x, y: (to_float(x), y))
        bar.set_description(config.method)
        done, tracker, broadcasts = 0, BroadcastTracker(), {}
        if checkpoint:
            done, state, tracker, broadcasts = (
                checkpoint.round,
                checkpoint.state,
                checkpoint.tracker,
                dict(checkpoint.broadcasts),
            )
            started -= checkpoint.seconds
            bar.update(done)
        recorder = None
        if record_payloads:
            with writing(out):
                recorder = PayloadRecorder(out / "payloads", recorded_spec(model_fn, config), done, broadcasts)
        total_bytes = sum(row.uplink_bytes + row.downlink_bytes for row in folder.rounds)
        process.get_model_weights(state).assign_weights_to(model)
        with Interruption() as interruption:
            for round_number in range(done + 1, config.rounds + 1):
                round_started = time.monotonic()
                broadcast = state.global_model_weights
                played = play_round(config, process, state, clients, tracker, round_number)
                state = played.state
                if recorder:
                    with writing(out):
                        recorder.add(round_number, broadcast, played.shipments, played.metrics)
                seconds = time.monotonic() - round_started
                process.get_model_weights(state).assign_weights_to(model)
                loss, accuracy = model.evaluate(test, verbose=0)
                metrics = _round_metrics(round_number, accuracy, loss, played, seconds)
                needed = recorder.needed(tracker, config.data.num_clients) if recorder else {}
                with writing(out):
                    folder.add_round(metrics)
                    elapsed = time.monotonic() - started
                    write_checkpoint(
                        out / _CHECKPOINTS,
                        Checkpoint(round_number, state, tracker, folder.rounds, elapsed, needed),
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
        with atomic_write(out / "model.keras") as temporary:
            final.save(temporary)
        write_calibration(dataset, config.seed, CALIBRATION_EXAMPLES, out)
        summary = summarise(config, dataset, model, folder.rounds, time.monotonic() - started, rss_mb)
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
