"""Methods whose updates travel in a form of their own: builders of learning processes and what their messages are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.codec.message_spec import MessageSpec
from tfc.config import ExperimentConfig
from tfc.data.ood import OodFn
from tfc.federated.aggregator import build_aggregator
from tfc.federated.learning_process import full_participation, initial_values, join
from tfc.federated.model_spec import CLIENT_SCALARS, ModelFn, ModelSpec
from tfc.federated.update_coding_client import build_coded_client_work
from tfc.federated.update_coding_server import build_coded_finalizer, master_of
from tfc.federated.update_coding_spec import CodedSpec
from tfc.methods.eden import Rotated
from tfc.methods.fedzip import SparseClusters
from tfc.methods.stc import SparseTernary
from tfc.update_codecs.message import Form, UpdateMessage
from tfc.update_codecs.protocol import UpdateCodec
from tfc.update_codecs.small_values import SMALL_VALUES

CodedSpecFn = Callable[[ModelFn, ExperimentConfig], CodedSpec]
"""What a method's messages are: (model_fn, config) -> specification."""

STC_SHARE = 0.1
"""Share of an update's values that travel under STC, each way: denser than the paper's 1/400, for short runs."""

FEDZIP_SHARE = 0.25
"""Share of each kernel's changes that travel under FedZip; what is dropped is lost."""


def _messages(
    model: ModelSpec,
    config: ExperimentConfig,
    coded: tuple[int, ...],
    up: UpdateCodec,
    down: UpdateCodec | None,
    num_clients: int = 0,
) -> CodedSpec:
    """Both directions' messages: coded updates; the first broadcast is a seed where broadcasts are coded."""
    shapes: MessageSpec = model.downlink
    rest = [number for number in range(len(shapes.other_shapes)) if number not in coded]
    small = SMALL_VALUES[config.communication.small_values](
        tuple(shapes.other_sizes[number] for number in rest), tuple(shapes.is_relative[number] for number in rest)
    )
    starts = (Form.WEIGHTS, *((Form.SEED,) if down is not None and model.initial_others else ()))
    forms = (*starts, *((Form.UPDATE,) if down is not None else ()))
    return CodedSpec(
        model,
        UpdateMessage(shapes, coded, down, small, 0, forms),
        UpdateMessage(shapes, coded, up, small, CLIENT_SCALARS, (Form.UPDATE,)),
        num_clients,
    )


def _plain_spec(model_fn: ModelFn, config: ExperimentConfig) -> ModelSpec:
    return ModelSpec.of(
        model_fn, "none", 1, full_participation=full_participation(config), from_seed=config.model.initial == "seed"
    )


def _kernels(model: ModelSpec) -> tuple[int, ...]:
    """Numbers of the weights with more than one dimension; biases and BatchNorm travel as small values."""
    return tuple(number for number, shape in enumerate(model.layout.trainable_shapes) if len(shape) > 1)


def stc_spec(model_fn: ModelFn, config: ExperimentConfig) -> CodedSpec:
    """Returns STC's messages: all kernels as one sparse ternary vector, both ways, with error feedback.

    Source: Sattler, Wiedemann, Müller, Samek, "Robust and Communication-Efficient Federated Learning from Non-IID Data"
    (arXiv 1903.02891), Algorithm 2.

    Args:
        model_fn: Builds the Keras model.
        config: `communication.sparsity`, `communication.small_values`, number of clients.
    """
    model = _plain_spec(model_fn, config)
    coded = _kernels(model)
    size = sum(model.downlink.other_sizes[number] for number in coded)
    codec = SparseTernary(size, config.communication.sparsity or STC_SHARE)
    return _messages(model, config, coded, codec, codec, config.data.num_clients)


def fedzip_spec(model_fn: ModelFn, config: ExperimentConfig) -> CodedSpec:
    """Returns FedZip's messages: kernels sparse and clustered on the way up, float32 on the way down.

    Source: Malekijoo et al., "FEDZIP: A Compression Framework for Communication-Efficient Federated Learning" (arXiv
    2102.01593).

    Args:
        model_fn: Builds the Keras model.
        config: `communication.sparsity`, `communication.small_values`.
    """
    model = _plain_spec(model_fn, config)
    coded = _kernels(model)
    sizes = tuple(model.downlink.other_sizes[number] for number in coded)
    return _messages(model, config, coded, SparseClusters(sizes, config.communication.sparsity or FEDZIP_SHARE), None)


def eden_spec(model_fn: ModelFn, config: ExperimentConfig) -> CodedSpec:
    """Returns EDEN's messages: all trainable weights rotated and quantised, unbiased up, with error feedback down.

    Source: Vargaftik et al., "DRIVE: One-bit Distributed Mean Estimation" (arXiv 2105.08339) and "EDEN:
    Communication-Efficient and Robust Distributed Mean Estimation for Federated Learning" (arXiv 2108.08842), for the
    way up. The way down is ours: the papers leave it float32.

    Args:
        model_fn: Builds the Keras model.
        config: `communication.uplink_bits`, `communication.downlink_bits`, `communication.small_values`.
    """
    model = _plain_spec(model_fn, config)
    coded = tuple(range(len(model.layout.trainable_shapes)))
    size = sum(model.downlink.other_sizes[number] for number in coded)
    communication = config.communication
    up = Rotated(size, communication.uplink_bits, unbiased=True)
    return _messages(model, config, coded, up, Rotated(size, communication.downlink_bits, unbiased=False))


def build_coded(
    spec_of: CodedSpecFn,
    model_fn: ModelFn,
    data_type: tff.Type,
    config: ExperimentConfig,
    ood_fn: OodFn | None = None,
    *,
    record_payloads: bool = False,
) -> tff.learning.templates.LearningProcess:
    """Builds a method whose updates travel in a form of their own.

    Args:
        spec_of: What its messages are: `stc_spec`, `fedzip_spec`, `eden_spec`.
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: Training settings, the codecs' settings and seed.
        ood_fn: Unused; every builder takes the same arguments.
        record_payloads: Unused; these payloads can't be played again.

    Returns:
        A process with types and metrics as `build_fedavg`'s; where clients remember what coding lost, its client work's
        state stands for their memories.
    """
    spec = spec_of(model_fn, config)
    initial = initial_values(model_fn, config)

    @tff.tensorflow.computation()
    def initial_model():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return spec.first(config.seed) if Form.SEED in spec.downlink.forms else spec.whole(tuple(initial()))

    def restart(state: Any, trainable: tuple[tf.Tensor, ...], non_trainable: tuple[tf.Tensor, ...]) -> Any:
        values = (*trainable, *non_trainable)
        return spec.whole(values), state.finalizer._replace(master=master_of(spec, values))

    return join(
        spec.model,
        initial_model,
        build_coded_client_work(spec, data_type, config.training, config.seed),
        build_aggregator(),
        build_coded_finalizer(spec, initial, config.seed, config.server.update_norm_bound),
        restart,
    )
