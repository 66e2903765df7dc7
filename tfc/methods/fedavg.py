"""FedAvg: federated averaging of all weights, BatchNorm statistics included.

Source: McMahan, Moore, Ramage, Hampson, Agüera y Arcas, "Communication-Efficient Learning of Deep Networks from
Decentralized Data" (AISTATS 2017, arXiv 1602.05629), Algorithm 1: every client trains from the broadcast model, and
the new model is the mean of the clients' models, weighted by their numbers of examples. Local training is
`tfc.federated.local_training`, the weighted mean `tfc.federated.running_mean`.

TFF's own `build_weighted_fed_avg` leaves BatchNorm statistics at their start; here every weight travels.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.codec.message_spec import ReferenceModel
from tfc.config import ExperimentConfig
from tfc.data.ood_pipeline import OodFn
from tfc.federated.aggregator import PAYLOADS_TYPE, ClientPayloads, build_aggregator, mean_of_payloads
from tfc.federated.client_work import build_client_work
from tfc.federated.finalizer import measurements_of, usable
from tfc.federated.initial_weights import initial_values
from tfc.federated.key_frame import key_frame, restart_with_key_frame
from tfc.federated.learning_process import join
from tfc.federated.method import Method
from tfc.federated.model_spec import ModelFn, ModelSpec, plain_spec
from tfc.federated.running_mean import Aggregate, RunningMean, build_mean_aggregator, collected_type
from tfc.federated.server_optimizer import server_optimizer
from tfc.federated.templates import finalizer_process
from tfc.methods.tff_aggregators import build_through_aggregator


def build_fedavg(
    model_fn: ModelFn,
    data_type: tff.Type,
    config: ExperimentConfig,
    ood_fn: OodFn | None = None,
    *,
    record_payloads: bool = False,
) -> tff.learning.templates.LearningProcess:
    """Builds federated averaging of all weights, BatchNorm statistics included.

    Source: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data" (AISTATS 2017,
    arXiv 1602.05629), Algorithm 1. (TFF's own `build_weighted_fed_avg` leaves BatchNorm statistics at their start.)
    With another `aggregation` than `mean` the updates go through an aggregator of TFF's, see `build_aggregated`.

    Args:
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: Training settings and seed.
        ood_fn: Unused; every builder takes the same arguments.
        record_payloads: Whether the metrics also hold the clients' payloads.

    Returns:
        A process with `next: (<S@SERVER, {<train,validation,context>}@CLIENTS> -> <state=S@SERVER,metrics@SERVER>)`;
        metrics: distributor.{downlink_bytes, clients, payload_bytes, key_frame_bytes}, client_work.clients_failed,
        aggregator.uplink_bytes, finalizer.{num_clusters, clients_ok, validation_accuracy, quality_score,
        distillation_loss, rate_weight}.

    Examples:
        >>> import numpy as np
        >>> import tensorflow as tf
        >>> import tfc
        >>> def model_fn():
        ...     layers = tf.keras.layers
        ...     return tf.keras.Sequential(
        ...         [tf.keras.Input((8, 8, 1)), layers.Flatten(name="embedding"), layers.Dense(4)]
        ...     )
        >>> data_type = tfc.client_data_type((8, 8, 1), np.float32)
        >>> x, y = np.zeros((20, 8, 8, 1), np.float32), np.arange(20, dtype=np.int32) % 4
        >>> mine = tfc.ClientExamples(x[:16], y[:16], x[16:], y[16:])
        >>> with tfc.local_worker():
        ...     process = tfc.build_fedavg(model_fn, data_type, tfc.load("demo", ["training.batch_size=8"]))
        ...     state = process.initialize()
        ...     state, metrics = process.next(state, [tfc.client_data(mine, client=0, round_number=1)])
        >>> int(metrics["finalizer"]["clients_ok"])
        1
    """
    if config.aggregation != "mean":
        return build_through_aggregator(model_fn, data_type, config)
    spec = plain_spec(model_fn, config)
    initial = initial_values(model_fn, config)

    @tff.tensorflow.computation()
    def initial_model():
        return key_frame(spec, (), tuple(initial()), 0, tf.zeros([0]), config.seed)

    return join(
        spec,
        initial_model,
        build_client_work(spec, data_type, config.training, config.clustering.start, config.seed, config.rounds),
        _aggregator(spec, config, record_payloads=record_payloads),
        build_averaging_finalizer(spec, config, record_payloads=record_payloads),
        restart_with_key_frame(spec, config.seed, server_optimizer(spec, config).forget),
    )


def _keeps_payloads(config: ExperimentConfig, *, record_payloads: bool) -> bool:
    """Whether answers reach the finalizer as they are: to be recorded, or bounded given what the server holds."""
    return record_payloads or config.server.update_norm_bound > 0


def _aggregator(
    spec: ModelSpec, config: ExperimentConfig, *, record_payloads: bool
) -> tff.templates.AggregationProcess:
    if _keeps_payloads(config, record_payloads=record_payloads):
        return build_aggregator(record_payloads=record_payloads)
    return build_mean_aggregator(spec)


def build_averaging_finalizer(
    spec: ModelSpec, config: ExperimentConfig, *, record_payloads: bool = False
) -> tff.learning.templates.FinalizerProcess:
    """Builds FedAvg's finalizer: the server's optimiser follows the mean of the clients' models.

    Type signature of `next`: `(<state=S@SERVER, broadcast=Broadcast@SERVER, update=Collected@SERVER> ->
    <state=S@SERVER, result=Broadcast@SERVER, measurements=<num_clusters=int32,clients_ok=int32,
    validation_accuracy=float32,quality_score=float32,distillation_loss=float32,rate_weight=float32>@SERVER>)`, where S
    is the optimiser's state, `<>` where the mean itself is the new model. Without clients, the old model stays. Where
    answers are recorded or bounded, the update is `ClientPayloads`.

    Args:
        spec: The model; it has no clustered kernels.
        config: `server_optimizer`, `server.update_norm_bound`, `rounds`.
        record_payloads: Whether the measurements also hold `average=<kernels,others>`, what the payloads amount to.
    """
    optimizer = server_optimizer(spec, config)
    decodes = _keeps_payloads(config, record_payloads=record_payloads)
    update_type = PAYLOADS_TYPE if decodes else collected_type(spec)

    def mean_of(update: Any, old: tuple[tf.Tensor, ...]) -> Aggregate:
        if not decodes:
            return RunningMean(*update.total).mean()
        nothing = ReferenceModel(tf.constant(0), (), (), ())
        return mean_of_payloads(spec, nothing, ClientPayloads(*update), old, config.server.update_norm_bound)

    @tff.tensorflow.computation()
    def initial_state():
        return optimizer.initial_state()

    @tff.tensorflow.computation(initial_state.type_signature.result, spec.broadcast_type, update_type)
    def average(state, broadcast, update):
        @tf.function
        def next_round(state: Any, old: tuple[tf.Tensor, ...], update: Any) -> Any:
            aggregate = mean_of(update, old)
            state, others = optimizer.step(state, old, aggregate.others, usable(aggregate))
            new = spec.broadcast(tf.constant(0), (), others, tf.zeros([0]), None)
            measurements = measurements_of(aggregate, tf.constant(0), tf.constant(0.0), tf.constant(0.0))
            if record_payloads:
                measurements["average"] = (aggregate.kernels, aggregate.others)
            return state, new, measurements

        return next_round(state, tuple(broadcast.model.others), update)

    @tff.federated_computation()
    def initialize():
        return tff.federated_eval(initial_state, tff.SERVER)

    return finalizer_process(initialize, average)


def _unseeded(config: ExperimentConfig) -> str:
    return "TFF's differentially private aggregator draws its noise" if config.aggregation == "dp" else ""


FEDAVG = Method(build_fedavg, "float32", plain_spec, unseeded=_unseeded)
