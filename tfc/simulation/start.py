"""How a run starts: its learning process, the round after which it goes on, its folder, what records its payloads.

Of the room's files this one alone builds a method.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow_federated as tff
from tqdm import tqdm

from tfc import config as configuration
from tfc.base.errors import ConfigError
from tfc.base.freed_memory import give_back
from tfc.base.run_files import CHECKPOINTS, CONFIG, INPUTS, PAYLOADS
from tfc.codec.message_spec import Kind
from tfc.config import ExperimentConfig
from tfc.federated.broadcast_tracker import BroadcastTracker
from tfc.federated.client_data import client_data_type
from tfc.federated.kept_broadcasts import KeptBroadcasts
from tfc.federated.layer_randomness import unseeded_operations
from tfc.federated.method import Method
from tfc.registries import METHODS, MODELS
from tfc.replay.recorder import PayloadRecorder, recorded_spec, unrecordable
from tfc.simulation.checkpoints import Checkpoint, latest_checkpoint
from tfc.simulation.experiment import Experiment
from tfc.simulation.folder_writer import RunFolder, writing
from tfc.simulation.own_parts import check_process
from tfc.simulation.resumption import resumes


def require_recordable(config: ExperimentConfig) -> None:
    """Refuses to record the payloads of an experiment that `tfc.replay` could not play again.

    Args:
        config: The experiment.

    Raises:
        ConfigError: If it is one; names the setting.
    """
    refusal = unrecordable(config)
    if refusal:
        raise ConfigError(f"--record-payloads does not go with {refusal}")


def build_process(experiment: Experiment, *, record_payloads: bool) -> tff.learning.templates.LearningProcess:
    """Builds the configured method's learning process.

    Args:
        experiment: Names the method; model, type of the data, out-of-distribution pipeline.
        record_payloads: Whether its metrics hold the payloads.

    Raises:
        ConfigError: If the method refuses the configuration or the model.
    """
    config, dataset = experiment.config, experiment.dataset
    data_type = client_data_type(dataset.input_shape, dataset.x_train.dtype)
    method: Method = METHODS[config.method]
    if experiment.process is not None and not callable(experiment.process):
        check_process(experiment.process, data_type)
        return experiment.process
    if experiment.process is not None:
        method = Method(experiment.process)
    try:
        process = method(experiment.model_fn, data_type, config, experiment.ood_fn, record_payloads=record_payloads)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    check_process(process, data_type)
    give_back()  # traced graphs, before compiling needs the memory
    return process


def say_what_no_seed_decides(experiment: Experiment) -> None:
    """Says on standard error where two runs of one seed will differ.

    Args:
        experiment: Its method, and its model where that is the user's own.
    """
    method: Method = METHODS[experiment.config.method]
    reasons = [method.unseeded(experiment.config)] if experiment.process is None else []
    if experiment.config.model.name not in MODELS:
        operations = unseeded_operations(experiment.model_fn())
        if operations:
            reasons.append(f"the model draws random numbers by {', '.join(operations)}")
    for reason in filter(None, reasons):
        _say(f"not repeatable: {reason} without the run's seed, so another run of this seed gives other results")


def starting_point(
    out: Path, config: ExperimentConfig, state: Any, *, force: bool, record_payloads: bool, start_bytes: int = 0
) -> Checkpoint:
    """Finds the round after which the run goes on, and says so on standard error; changes nothing.

    Args:
        out: The run's folder.
        config: The experiment.
        state: The learning process' first state.
        force: Whether an existing run there is replaced.
        record_payloads: Whether payloads are kept.
        start_bytes: What a client gets besides its first broadcast: the frozen weights.

    Returns:
        The run after that round; before its first round, with `state`, where it does not go on.

    Raises:
        RunError: If something is there that has to stay (`tfc.simulation.resumption.resumes`).
    """
    new = Checkpoint(0, state, BroadcastTracker(start_bytes=start_bytes))
    if not resumes(out, config, force=force, record_payloads=record_payloads):
        return new
    found = latest_checkpoint(out / CHECKPOINTS, state, _say)
    _say(
        f"{out}: resumes after round {found.round} of {config.rounds}"
        if found
        else f"{out}: not finished and without a checkpoint: starts with round 1"
    )
    if found:
        found.tracker.start_bytes = start_bytes
    return found or new


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)


def open_folder(out: Path, experiment: Experiment, start: Checkpoint, digests: Mapping[str, str]) -> RunFolder:
    """Creates the run's folder, or goes on with it; writes configuration and partition.

    Args:
        out: The run's folder.
        experiment: The experiment.
        start: The run after the round after which it goes on.
        digests: From `input_digests`.

    Raises:
        RunError: If it can't be written.
    """
    folder = RunFolder(out, start.rows if start.round else None)
    with writing(out):
        folder.write_text(INPUTS, json.dumps(dict(digests), indent=2) + "\n")
        folder.write_text(CONFIG, configuration.to_toml(experiment.config))
        folder.write_class_counts(experiment.class_counts)
    return folder


def kept_broadcasts(experiment: Experiment, start: Checkpoint) -> KeptBroadcasts | None:
    """Returns the old broadcasts that the server of a run keeps, for clients that miss rounds.

    Args:
        experiment: The experiment.
        start: The run after the round after which it goes on.

    Returns:
        None where no catch-up message can be sent: all clients take part in every round, or broadcasts stand alone, or
        the process is the user's own.
    """
    config = experiment.config
    messages = METHODS[config.method].messages
    if not config.server.kept_broadcasts or experiment.process is not None or messages is None:
        return None
    downlink = messages(experiment.model_fn, config).downlink
    if Kind.CATCH_UP not in downlink.kinds:
        return None
    return KeptBroadcasts(downlink, config.server.kept_broadcasts, dict(start.kept))


def open_recorder(out: Path, experiment: Experiment, start: Checkpoint) -> PayloadRecorder:
    """Opens the folder of recorded payloads; those of rounds that the run repeats are removed.

    Args:
        out: The run's folder.
        experiment: The experiment.
        start: The run after the round after which it goes on.

    Raises:
        RunError: If it can't be written.
    """
    spec = recorded_spec(experiment.model_fn, experiment.config)
    with writing(out):
        return PayloadRecorder(out / PAYLOADS, spec, start.round, start.broadcasts)
