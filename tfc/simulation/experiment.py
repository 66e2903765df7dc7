"""The parts of an experiment: data, clients, model, out-of-distribution pipeline, as configured."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfc.base.errors import DataError
from tfc.config import ExperimentConfig
from tfc.data.dataset import Dataset
from tfc.data.input_kinds import AUTO, IMAGE, LOG_MEL, TABLE, TOKENS
from tfc.data.ood_noise import procedural_tokens
from tfc.data.ood_pipeline import OodFn
from tfc.data.partition import Clients
from tfc.federated.model_spec import ModelFn
from tfc.models.model_contract import ExpectedData
from tfc.models.own_model import is_model_file, own_model, refuse_untrainable
from tfc.registries import AUDIO_SETS, MODELS, NUMPY_SETS, OOD_SOURCES
from tfc.simulation.configured_data import load_clients, load_dataset
from tfc.simulation.own_parts import OwnParts

_PROBED = 64
"""Training inputs that a model is tried with."""


@dataclass(frozen=True)
class Experiment:
    """A configured experiment with what it is made of.

    Attributes:
        config: The configuration.
        dataset: Training and test set.
        clients: What each client holds of the training set.
        ood_fn: The out-of-distribution pipeline.
        model_fn: Builds the Keras model with its initial weights.
        process: A learning process or a builder in place of the configured method's; None for that one.
    """

    config: ExperimentConfig
    dataset: Dataset
    clients: Clients
    ood_fn: OodFn
    model_fn: ModelFn
    process: Any = None

    @property
    def class_counts(self) -> tuple[tuple[int, ...], ...]:
        """Examples of each class of each client: one row per client, one column per class."""
        return tuple(map(tuple, self.clients.class_counts(self.dataset.num_classes).tolist()))


def load_experiment(config: ExperimentConfig, own: OwnParts | None = None) -> Experiment:
    """Loads and builds what an experiment is made of.

    Args:
        config: The configuration.
        own: Parts that are handed over in place of the configured ones.

    Raises:
        DataError: If the data are missing or damaged, or do not go with the configuration.
        ConfigError: If the model can't be read, or does not fit the data.
    """
    own = own or OwnParts()
    config = own.named(config)
    _refuse_untrainable_model(config)
    dataset = load_dataset(config, own.data)
    clients = load_clients(config, dataset)
    ood_fn = build_ood(config, dataset.input_shape, dataset)
    expected = expected_data(dataset)
    model_fn = own.model_builder(expected) if own.has_model else model_builder(config, expected)
    return Experiment(config, dataset, clients, ood_fn, model_fn, own.process)


def _refuse_untrainable_model(config: ExperimentConfig) -> None:
    """Refuses a model file for what is wrong with it on any data, before data that take long to read are read."""
    if is_model_file(config.model.name) and config.data.dataset not in NUMPY_SETS:
        refuse_untrainable(Path(config.model.name).expanduser())


def expected_data(dataset: Dataset) -> ExpectedData:
    """Returns what a model has to fit.

    Args:
        dataset: Some of its inputs are looked at.
    """
    pixels = dataset.x_train[:_PROBED] if dataset.x_train.dtype == np.uint8 else None
    return ExpectedData(dataset.input_shape, dataset.num_classes, pixels)


def model_builder(config: ExperimentConfig, expected: ExpectedData) -> ModelFn:
    """Returns a function that builds the configured Keras model with its initial weights.

    Args:
        config: Names the model, or its file; the seed decides a named model's initial weights.
        expected: The data that it is for.

    Raises:
        ConfigError: If a model's file can't be read, or the model does not fit the data.
    """
    if is_model_file(config.model.name):
        return own_model(Path(config.model.name).expanduser(), expected)
    return functools.partial(
        MODELS[config.model.name],
        expected.input_shape,
        expected.num_classes,
        seed=config.seed,
        batchnorm_momentum=config.model.batchnorm_momentum,
    )


def build_ood(config: ExperimentConfig, input_shape: tuple[int, ...], dataset: Dataset | None = None) -> OodFn:
    """Returns the configured out-of-distribution pipeline.

    Args:
        config: Names the source; the seed decides what is drawn.
        input_shape: Shape of one input.
        dataset: What clients train on, of which the server knows the kind and the range of tokens; where None, the kind
            follows from the configuration.

    Raises:
        DataError: If the folder has no such files, or the model's input is of another kind.
    """
    server = config.server
    kind = dataset.kind if dataset is not None else _configured_kind(config, input_shape)
    source = server.ood if server.ood != "auto" else _OOD_OF_KIND.get(kind, "noise")
    if server.ood_dir:
        folder = Path(server.ood_dir).expanduser()
        return OOD_SOURCES[source].folder(folder, server.ood_examples, server.batch_size, input_shape)
    if kind == TOKENS:
        if source != "noise" or dataset is None:
            raise DataError(f"server.ood = {source!r} can't make tokens: leave it at auto")
        num_tokens = int(dataset.x_train.max()) + 1
        return procedural_tokens(server.ood_examples, server.batch_size, input_shape, config.seed, num_tokens)
    return OOD_SOURCES[source].procedural(server.ood_examples, server.batch_size, input_shape, config.seed)


_OOD_OF_KIND = {IMAGE: "images", LOG_MEL: "audio"}
_IMAGE_AXES = 3


def _configured_kind(config: ExperimentConfig, input_shape: tuple[int, ...]) -> str:
    if config.data.dataset in AUDIO_SETS:
        return LOG_MEL
    if config.data.kind != AUTO:
        return config.data.kind
    return IMAGE if len(input_shape) == _IMAGE_AXES else TABLE
