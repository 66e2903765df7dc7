"""What an experiment is made of: data, clients, model, out-of-distribution pipeline, as configured."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from tfc.config import ExperimentConfig
from tfc.data.dataset import Dataset, resized
from tfc.data.ood import OodFn
from tfc.data.partition import Clients
from tfc.federated.model_spec import ModelFn
from tfc.models.own_model import is_model_file, own_model
from tfc.registries import AUDIO_SETS, DATASETS, MODELS, OOD_SOURCES, PARTITIONS


@dataclass(frozen=True)
class Experiment:
    """A configured experiment with what it is made of.

    Attributes:
        config: The configuration.
        dataset: Training and test set.
        clients: What each client holds of the training set.
        ood_fn: The out-of-distribution pipeline.
        model_fn: Builds the Keras model with its initial weights.
    """

    config: ExperimentConfig
    dataset: Dataset
    clients: Clients
    ood_fn: OodFn
    model_fn: ModelFn

    @property
    def class_counts(self) -> tuple[tuple[int, ...], ...]:
        """Examples of each class of each client: one row per client, one column per class."""
        return tuple(map(tuple, self.clients.class_counts(self.dataset.num_classes).tolist()))


def load_experiment(config: ExperimentConfig) -> Experiment:
    """Loads and builds what an experiment is made of.

    Args:
        config: The configuration.

    Raises:
        DataError: If the data are missing or damaged, or do not go with the configuration.
        ConfigError: If the model can't be read, or does not fit the data.
    """
    dataset = load_dataset(config)
    clients = load_clients(config, dataset)
    ood_fn = build_ood(config, dataset.input_shape)
    return Experiment(config, dataset, clients, ood_fn, model_builder(config, dataset.input_shape, dataset.num_classes))


def load_dataset(config: ExperimentConfig) -> Dataset:
    """Loads the configured data set, images padded and channels repeated as configured.

    Raises:
        DataError: If it is missing, damaged, or can't be brought to the configured shape.

    Examples:
        >>> import tfc
        >>> dataset = tfc.load_dataset(tfc.load("demo", {"data.channels": 3}))
        >>> dataset.x_test.shape[1:], dataset.x_test.dtype
        ((28, 28, 3), dtype('uint8'))
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
