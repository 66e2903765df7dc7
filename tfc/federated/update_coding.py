"""Learning processes of methods whose updates an `UpdateCodec` writes: STC, FedZip, EDEN, and yours.

A method says which weights its codec takes and how each direction is coded (`both_directions`); the rest is here.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.codec.message_spec import MessageSpec
from tfc.config import ExperimentConfig
from tfc.federated.aggregator import build_aggregator
from tfc.federated.initial_weights import initial_values
from tfc.federated.learning_process import join
from tfc.federated.model_spec import CLIENT_SCALARS, ModelSpec
from tfc.federated.server_optimizer import server_optimizer
from tfc.federated.update_coding_client import build_update_coding_client_work
from tfc.federated.update_coding_server import build_update_coding_finalizer, master_of
from tfc.federated.update_coding_spec import UpdateCodingSpec
from tfc.registries import SIDE_PARAMETER_FORMS
from tfc.update_codecs.message import Form, UpdateMessage
from tfc.update_codecs.protocol import UpdateCodec


def both_directions(
    model: ModelSpec,
    config: ExperimentConfig,
    coded: tuple[int, ...],
    up: UpdateCodec,
    down: UpdateCodec | None,
    num_clients: int = 0,
) -> UpdateCodingSpec:
    """Returns both directions' messages: coded updates; the first broadcast is a seed where broadcasts are coded.

    Args:
        model: The model, without clustered kernels.
        config: `communication.small_values`.
        coded: Numbers of the weights that the codecs take; the others are side parameters.
        up: Codec of clients' updates.
        down: Codec of the broadcast's change; None for float32 weights.
        num_clients: Number of clients in all, where each remembers what its codec lost (error feedback); else 0.
    """
    shapes: MessageSpec = model.downlink
    rest = [number for number in range(len(shapes.other_shapes)) if number not in coded]
    small = SIDE_PARAMETER_FORMS[config.communication.small_values](
        tuple(shapes.other_sizes[number] for number in rest), tuple(shapes.is_relative[number] for number in rest)
    )
    starts = (Form.WEIGHTS, *((Form.SEED,) if down is not None and model.initial_others else ()))
    forms = (*starts, *((Form.UPDATE,) if down is not None else ()))
    return UpdateCodingSpec(
        model,
        UpdateMessage(shapes, coded, down, small, 0, forms),
        UpdateMessage(shapes, coded, up, small, CLIENT_SCALARS, (Form.UPDATE,)),
        num_clients,
    )


def kernels_of(model: ModelSpec) -> tuple[int, ...]:
    """Returns the numbers of the weights with more than one dimension; biases and BatchNorm are side parameters.

    Args:
        model: The model.
    """
    return tuple(number for number, shape in enumerate(model.layout.trainable_shapes) if len(shape) > 1)


def build_update_coding_process(
    spec: UpdateCodingSpec, data_type: tff.Type, config: ExperimentConfig
) -> tff.learning.templates.LearningProcess:
    """Builds the learning process of a method whose updates are coded.

    Args:
        spec: The model and its messages.
        data_type: Type of one client's data, from `client_data_type`.
        config: Training settings and seed.

    Returns:
        A process with types and metrics as `build_fedavg`'s; where clients remember what coding lost, its client work's
        state stands for their memories.
    """
    initial = initial_values(spec.model.model_fn, config)

    @tff.tensorflow.computation()
    def initial_model():
        return spec.first(config.seed) if Form.SEED in spec.downlink.forms else spec.whole(tuple(initial()))

    def restart(state: Any, trainable: tuple[tf.Tensor, ...], non_trainable: tuple[tf.Tensor, ...]) -> Any:
        values = (*trainable, *non_trainable)
        remembered = server_optimizer(spec.model, config).forget(state.finalizer.optimizer)
        return spec.whole(values), state.finalizer._replace(master=master_of(spec, values), optimizer=remembered)

    return join(
        spec.model,
        initial_model,
        build_update_coding_client_work(spec, data_type, config.training, config.seed, config.rounds),
        build_aggregator(),
        build_update_coding_finalizer(spec, initial, config),
        restart,
    )
