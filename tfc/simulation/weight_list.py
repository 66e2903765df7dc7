"""How a model's weights travel: which are clustered, which are side parameters, which are frozen; in the run's log."""

from __future__ import annotations

import logging
import math

from tfc.clustering.layout import layout_of
from tfc.federated.model_weights import frozen_variables
from tfc.simulation.experiment import Experiment

_LOG = logging.getLogger(__name__)
_FLOAT_BYTES = 4


def weight_lines(experiment: Experiment) -> list[str]:
    """Returns one line about the clustered kernels, one for each larger weight that is none, one for the frozen ones.

    Args:
        experiment: Its model; which kernels are clustered follows from `clustering`.
    """
    model, clustering = experiment.model_fn(), experiment.config.clustering
    layers = clustering.layers if experiment.config.method == "fedcompress" else "none"
    layout = layout_of(model, layers, clustering.max_clusters)
    clustered = {kernel.position for kernel in layout.kernels}
    count = sum(math.prod(kernel.shape) for kernel in layout.kernels)
    lines = [f"clustered: {len(clustered)} kernels, {count:,} weights"] if layers != "none" else []
    rest = [each for position, each in enumerate(model.trainable_variables) if position not in clustered]
    rest += [model.non_trainable_variables[position] for position in layout.moving]
    for variable in rest:
        if layers != "none" and len(variable.shape) > 1:
            shape = "x".join(map(str, variable.shape))
            size = _FLOAT_BYTES * math.prod(variable.shape)
            lines.append(f"not clustered: {variable.name}, {shape}, {size:,} bytes as float32")
    size = _FLOAT_BYTES * sum(math.prod(each.shape) for each in rest)
    lines.append(f"side parameters: {len(rest)} tensors, {size:,} bytes as float32")
    frozen = frozen_variables(model, layout)
    if frozen:
        size = sum(variable.numpy().nbytes for variable in frozen)
        lines.append(f"frozen: {len(frozen)} tensors, {size:,} bytes, sent to each client once")
    return lines


def log_weights(experiment: Experiment) -> None:
    """Writes `weight_lines` to the run's log.

    Args:
        experiment: The experiment.
    """
    for line in weight_lines(experiment):
        _LOG.info("weights: %s", line)
