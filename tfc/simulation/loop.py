"""A run from its first round to its last: builds, starts or goes on, loops over the rounds, finishes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tqdm import tqdm

from tfc.base.errors import RunInterruptedError
from tfc.config import ExperimentConfig
from tfc.federated.model_spec import ModelFn
from tfc.simulation.experiment import Experiment, load_experiment
from tfc.simulation.finish import finish
from tfc.simulation.folder import FinishedRun, read_run
from tfc.simulation.folder_writer import writing
from tfc.simulation.global_model import GlobalModel
from tfc.simulation.input_digests import check_same_inputs, input_digests
from tfc.simulation.interruption import Interruption
from tfc.simulation.lock import RunLock
from tfc.simulation.log import quiet_tensorflow
from tfc.simulation.observer import RunObserver
from tfc.simulation.own_parts import OwnParts
from tfc.simulation.resumption import resumes
from tfc.simulation.start import (
    build_process,
    kept_broadcasts,
    open_folder,
    open_recorder,
    require_recordable,
    say_what_no_seed_decides,
    starting_point,
)
from tfc.simulation.summary import peak_rss_mb, versions
from tfc.simulation.training import Training
from tfc.simulation.weight_list import log_weights
from tfc.workers.remote import workers_of_run


def run(
    config: ExperimentConfig,
    out: str | Path,
    *,
    force: bool = False,
    progress: bool = True,
    record_payloads: bool = False,
    workers: Sequence[str] = (),
    data: Any = None,
    model: tf.keras.Model | None = None,
    model_fn: ModelFn | None = None,
    process: Any = None,
) -> FinishedRun:
    """Runs one experiment from its first round to its last and writes its folder.

    Args:
        config: The experiment.
        out: The run's folder.
        force: Whether an existing run there is replaced. Without it one that was not finished goes on.
        progress: Whether a progress bar is shown on standard error.
        record_payloads: Whether every payload is kept in the folder, for `tfc replay`.
        workers: `host:port` of workers on other machines; empty for one of this machine's own.
        data: What `tfc.as_dataset` takes, such as (x_train, y_train, x_test, y_test); None for the configured data set.
        model: A Keras model in place of the configured one; it stays as it is.
        model_fn: A function that builds the Keras model, in place of `model`.
        process: A learning process in place of the configured method's, of the form that this package's builders make
            (such as `tfc.build_aggregated`), or a builder (model_fn, data_type, config, ood_fn) -> LearningProcess.

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
    out, own = Path(out), OwnParts(data, model, model_fn, process)
    config = own.named(config)
    if record_payloads:
        require_recordable(config)
    with quiet_tensorflow(), RunLock(out) as lock:
        lock.take_if_there()
        goes_on = resumes(out, config, force=force, record_payloads=record_payloads)
        experiment = load_experiment(config, own)
        digests = input_digests(experiment)
        if goes_on:
            check_same_inputs(out, digests)
        _run(
            experiment,
            out,
            lock,
            digests,
            force=force,
            progress=progress,
            record_payloads=record_payloads,
            workers=workers,
        )
        return read_run(out)


def _run(
    experiment: Experiment,
    out: Path,
    lock: RunLock,
    digests: Mapping[str, str],
    *,
    force: bool,
    progress: bool,
    record_payloads: bool,
    workers: Sequence[str],
) -> None:
    config = experiment.config
    started = time.monotonic()
    bar = tqdm(total=config.rounds, desc=f"{config.method} (building)", disable=not progress, unit="round")
    with (
        bar,
        contextlib.ExitStack() as observed,
        workers_of_run(
            workers, max_concurrent_clients=config.max_concurrent_clients, insecure=config.insecure_worker
        ) as worker_pids,
    ):
        say_what_no_seed_decides(experiment)
        process = build_process(experiment, record_payloads=record_payloads)
        state = process.initialize()
        # Only now is it certain that the run can start: a refused one leaves what is there alone.
        lock.take()
        model = GlobalModel(experiment)
        start = starting_point(
            out, config, state, force=force, record_payloads=record_payloads, start_bytes=model.frozen_bytes
        )
        started -= start.seconds
        folder = open_folder(out, experiment, start, digests)
        observer = observed.enter_context(RunObserver(out, config.rounds, config.method, versions()))
        log_weights(experiment)
        bar.set_description(config.method)
        recorder = open_recorder(out, experiment, start) if record_payloads else None
        kept = kept_broadcasts(experiment, start)
        training = Training(experiment, process, folder, model, recorder, kept, start, started)
        _play_rounds(training, config.rounds, observer, bar)
        if recorder:
            with writing(out):
                recorder.finish(training.broadcast)
        rss_mb = peak_rss_mb(worker_pids)
    finish(experiment, training, model, rss_mb)


def _play_rounds(training: Training, rounds: int, observer: RunObserver, bar: tqdm) -> None:
    if training.round:
        bar.update(training.round)
    with Interruption() as interruption:
        while training.round < rounds:
            metrics = training.play_round()
            with writing(training.path):
                observer.add_round(metrics, training.broadcast)
            total_bytes = sum(row.uplink_bytes + row.downlink_bytes for row in training.rows)
            bar.set_postfix_str(
                f"accuracy={metrics.accuracy:.4f}, clusters={metrics.num_clusters or '-'}, MB={total_bytes / 1e6:.2f}",
                refresh=False,
            )
            bar.update()
            if interruption.requested:
                raise RunInterruptedError(
                    f"{training.path}: round {training.round} of {rounds} is kept: the same command resumes the run "
                    "after it"
                )
