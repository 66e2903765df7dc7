"""The server's optimiser: how the mean of the clients' changes moves the global model's trained weights.

The mean change is a gradient with the opposite sign, and any optimiser may follow it. Moving averages of statistics
(BatchNorm's) are no trained weights: they are the clients' mean in every method.

Source: Reddi et al., "Adaptive Federated Optimization" (arXiv 2003.00295), Algorithm 2; Hsu, Qi, Brown, "Measuring the
Effects of Non-Identical Data Distribution for Federated Visual Classification" (arXiv 1909.06335), FedAvgM.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.config import ExperimentConfig, ServerOptimizerConfig
from tfc.federated.finalizer import all_finite, chosen
from tfc.federated.model_spec import ModelSpec
from tfc.registries import SERVER_OPTIMIZERS
from tfc.schedule import last_rounds_share


@dataclass(frozen=True)
class OptimizerKind:
    """One of the server's optimisers.

    Attributes:
        build: (configuration) -> an optimiser of TFF's; None where the mean itself is the new model.
        learning_rate: Where the configuration names none.
        fades: Whether it has a momentum, which falls in the last rounds.
    """

    build: Callable[[ServerOptimizerConfig], tff.learning.optimizers.Optimizer] | None
    learning_rate: float = 1.0
    fades: bool = False


AVERAGE = OptimizerKind(None)
"""The mean of the clients' weights is the new model (McMahan et al., arXiv 1602.05629)."""
MOMENTUM = OptimizerKind(
    lambda config: tff.learning.optimizers.build_sgdm(config.learning_rate, config.momentum), fades=True
)
"""FedAvgM: gradient descent with momentum."""
ADAM = OptimizerKind(
    lambda config: tff.learning.optimizers.build_adam(
        config.learning_rate, config.momentum, config.second_momentum, config.epsilon
    ),
    learning_rate=0.01,
)
"""FedAdam, with Adam's correction of the averages' start."""


@dataclass(frozen=True)
class ServerOptimizer:
    """The optimiser of one run, for trained weights of given shapes.

    Attributes:
        config: Which one, and its settings.
        rounds: Number of rounds of the run.
        shapes: Shapes of the trained weights, in the order in which `step` takes them.
    """

    config: ServerOptimizerConfig
    rounds: int
    shapes: tuple[tuple[int, ...], ...]

    @property
    def _optimizer(self) -> tff.learning.optimizers.Optimizer | None:
        kind: OptimizerKind = SERVER_OPTIMIZERS[self.config.name]
        if kind.build is None:
            return None
        rate = self.config.learning_rate or kind.learning_rate
        return kind.build(dataclasses.replace(self.config, learning_rate=rate))

    def initial_state(self) -> Any:
        """Returns the optimiser's state before the first round: rounds done, and its own; empty for the mean."""
        optimizer = self._optimizer
        if optimizer is None:
            return ()
        specs = tuple(tf.TensorSpec(shape, tf.float32) for shape in self.shapes)
        own = tf.nest.map_structure(lambda part: tf.convert_to_tensor(part, tf.float32), optimizer.initialize(specs))
        return tf.constant(0), own

    def skip(self, state: Any) -> Any:
        """Returns the state after a round that changed nothing.

        Args:
            state: The optimiser's.
        """
        return (state[0] + 1, state[1]) if self._optimizer is not None else state

    def forget(self, state: Any) -> Any:
        """Returns the state for weights that are set from outside: what earlier changes left is gone, the round stays.

        Args:
            state: The optimiser's.
        """
        return (state[0], self.initial_state()[1]) if self._optimizer is not None else state

    @tf.autograph.experimental.do_not_convert
    def step(
        self, state: Any, weights: Sequence[tf.Tensor], means: Sequence[tf.Tensor], counts: tf.Tensor
    ) -> tuple[Any, tuple[tf.Tensor, ...]]:
        """Moves a model's trained weights; what follows them in the tuples is taken as it is.

        Args:
            state: The optimiser's.
            weights: float32 tensors, of `shapes` first: what the server had.
            means: float32 tensors, likewise: what it would have if it took the clients' mean.
            counts: bool scalar, whether the round changes anything.

        Returns:
            The state and the weights after the round.
        """
        optimizer = self._optimizer
        if optimizer is None:
            return state, chosen(counts, means, weights)
        count = len(self.shapes)
        round_number, own = state[0] + 1, state[1]
        if SERVER_OPTIMIZERS[self.config.name].fades:
            left = 1.0 - last_rounds_share(self.rounds, self.config.fade_rounds, round_number)
            own = optimizer.set_hparams(own, {"momentum": self.config.momentum * left})
        trained = tuple(weights[:count])
        gradients = tuple(before - mean for before, mean in zip(trained, means, strict=False))
        own, moved = optimizer.next(own, trained, gradients)
        counts &= all_finite((own, moved))
        new = tf.nest.map_structure(lambda after, before: tf.where(counts, after, before), own, state[1])
        return (round_number, new), chosen(counts, (*moved, *means[count:]), weights)


def server_optimizer(spec: ModelSpec, config: ExperimentConfig) -> ServerOptimizer:
    """Returns the configured optimiser for a model's trained weights, clustered kernels first.

    Args:
        spec: The model.
        config: `server_optimizer`, `rounds`.
    """
    return ServerOptimizer(config.server_optimizer, config.rounds, spec.trained_shapes)
