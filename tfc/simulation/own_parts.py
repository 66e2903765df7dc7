"""Parts of an experiment that are handed over in Python: data, a model, a learning process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.base.errors import ConfigError
from tfc.config import ExperimentConfig
from tfc.config.keys import IN_MEMORY
from tfc.federated.model_spec import ModelFn
from tfc.models.model_contract import ExpectedData, buildable, built, check_model, rebuilder


@dataclass(frozen=True)
class OwnParts:
    """What a caller hands over in place of what the configuration names; None for the configured part.

    Attributes:
        data: What `as_dataset` takes.
        model: A Keras model, whose weights training starts at where no seed can stand for them.
        model_fn: Builds the Keras model, in place of `model`.
        process: A learning process as this package's builders make them, or a builder:
            (model_fn, data_type, config, ood_fn) -> LearningProcess.
    """

    data: Any = None
    model: tf.keras.Model | None = None
    model_fn: ModelFn | None = None
    process: tff.learning.templates.LearningProcess | Callable[..., Any] | None = None

    def named(self, config: ExperimentConfig) -> ExperimentConfig:
        """Returns the configuration with `memory` as the name of what is handed over.

        Args:
            config: The experiment.

        Raises:
            ConfigError: If a model is handed over in both ways, or a part named `memory` is missing.
        """
        if self.model is not None and self.model_fn is not None:
            raise ConfigError("model and model_fn both say what to train: give one of them")
        if self.data is not None:
            config = dataclasses.replace(config, data=dataclasses.replace(config.data, dataset=IN_MEMORY))
        elif config.data.dataset == IN_MEMORY:
            raise ConfigError("data.dataset = 'memory' is for data in Python: tfc.run(config, out, data=...)")
        if self.has_model:
            config = dataclasses.replace(config, model=dataclasses.replace(config.model, name=IN_MEMORY))
        elif config.model.name == IN_MEMORY:
            raise ConfigError("model.name = 'memory' is for models in Python: tfc.run(config, out, model=...)")
        return config

    @property
    def has_model(self) -> bool:
        """Whether a model is handed over."""
        return self.model is not None or self.model_fn is not None

    def model_builder(self, expected: ExpectedData) -> ModelFn:
        """Returns a function that builds the model, checked against the data.

        Args:
            expected: The data that it is for.

        Raises:
            ConfigError: If it can't be trained here; lists all that is wrong with it.
        """
        shape = expected.input_shape or ()
        if self.model is not None:
            model = built(self.model, shape)
            check_model(model, expected, "model")
            return rebuilder(model)
        assert self.model_fn is not None
        check_model(built(self.model_fn(), shape), expected, "model_fn")
        return buildable(self.model_fn, shape)


_METRICS = {
    "distributor": ("payload_bytes", "key_frame_bytes"),
    "client_work": ("clients_by_fault",),
    "aggregator": ("uplink_bytes",),
    "finalizer": ("num_clusters", "clients_ok", "quality_score", "rate_weight"),
}


def check_process(process: Any, data_type: tff.Type) -> None:
    """Refuses a learning process whose bytes can't be counted here, or that takes other data.

    Args:
        process: What a caller handed over, or a builder returned.
        data_type: Type of one client's data.

    Raises:
        ConfigError: If it is no process of the form that this package's builders make.
    """
    if not isinstance(process, tff.learning.templates.LearningProcess):
        raise ConfigError(
            f"process must be a tff.learning.templates.LearningProcess, or a function that builds one; found "
            f"{type(process).__name__}"
        )
    metrics = process.next.type_signature.result.metrics.member
    missing = [
        f"{part}.{name}"
        for part, names in _METRICS.items()
        for name in names
        if not hasattr(getattr(metrics, part, None), name)
    ]
    if missing:
        raise ConfigError(
            f"process: its metrics lack {', '.join(missing)}, from which bytes and clients are counted: build it with "
            "tfc.build_aggregated (any TFF aggregator), or as docs/methods.md says"
        )
    taken = process.next.type_signature.parameter[1].member
    if not taken.is_assignable_from(data_type):
        raise ConfigError(f"process: takes clients of type {taken}, the data are of type {data_type}")
