"""What a federated method is: how its learning process is built, and what a run says of its messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow_federated as tff

from tfc.config import ExperimentConfig
from tfc.data.ood_pipeline import OodFn
from tfc.federated.model_spec import ModelFn, ModelSpec
from tfc.registries import METHODS


@dataclass(frozen=True)
class Method:
    """A federated method; calling it builds its learning process.

    Attributes:
        build: (model_fn, data_type, config, ood_fn, record_payloads=...) -> LearningProcess.
        uplink_form: What clients send, for summary.json; empty where `communication.uplink` says it.
        messages: (model_fn, config) -> the messages' form, where `tfc.replay` can read them; else None.
        counts_by_formula: Whether tensors cross the boundary, whose bytes follow from a formula, not from payloads.
        unseeded: (config) -> what draws random numbers that the run's seed does not decide; empty where nothing does.
    """

    build: Callable[..., tff.learning.templates.LearningProcess]
    uplink_form: str = ""
    messages: Callable[[ModelFn, ExperimentConfig], ModelSpec] | None = None
    counts_by_formula: bool = False
    unseeded: Callable[[ExperimentConfig], str] = lambda config: ""

    def __call__(
        self,
        model_fn: ModelFn,
        data_type: tff.Type,
        config: ExperimentConfig,
        ood_fn: OodFn | None = None,
        *,
        record_payloads: bool = False,
    ) -> tff.learning.templates.LearningProcess:
        """Builds the method's learning process.

        Args:
            model_fn: Builds the Keras model; logits out, a layer named `embedding`.
            data_type: Type of one client's data, from `client_data_type`.
            config: Settings and seed.
            ood_fn: Builds the unlabelled out-of-distribution pipeline, for methods that distil.
            record_payloads: Whether the metrics also hold the clients' payloads, for methods with `messages`.
        """
        options: dict[str, Any] = {"record_payloads": record_payloads} if self.messages else {}
        return self.build(model_fn, data_type, config, ood_fn, **options)


Builder = Callable[..., tff.learning.templates.LearningProcess]


def register_method(
    name: str, *, uplink_form: str = "", counts_by_formula: bool = False
) -> Callable[[Builder], Builder]:
    """Returns a decorator that makes a builder of one's own a federated method, by the name of which it is configured.

    Args:
        name: Value of the key `method`.
        uplink_form: What clients send, for summary.json; the name where empty.
        counts_by_formula: Whether tensors cross the boundary, whose bytes follow from a formula.

    Raises:
        ConfigError: If the package has a method of that name.

    Examples:
        >>> import tfc
        >>> @tfc.register_method("careful")
        ... def build_careful(model_fn, data_type, config, ood_fn=None):
        ...     return tfc.build_fedavg(model_fn, data_type, config)
        >>> tfc.load("demo", {"method": "careful"}).method
        'careful'
    """

    def register(build: Builder) -> Builder:
        METHODS.add(name, Method(build, uplink_form or name, counts_by_formula=counts_by_formula))
        return build

    return register
