"""FedCompress: weight clustering at clients, server-side distillation, a number of clusters that adapts.

Source: Tsouvalas, Saeed, Ozcelebi, Meratnia, "Communication-Efficient Federated Learning through Adaptive Weight
Clustering and Server-Side Distillation" (ICASSP 2024, doi 10.1109/ICASSP48485.2024.10447174).

The clients' part is `tfc.federated.client_work` with `tfc.federated.clustered_training`; the server's is
`tfc.methods.fedcompress_server`, or without server-side compression `tfc.methods.fedcompress_float_broadcast`.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.clustering import rate_controller
from tfc.config import ExperimentConfig
from tfc.data.ood_pipeline import OodFn
from tfc.federated.aggregator import build_aggregator
from tfc.federated.client_work import build_client_work
from tfc.federated.initial_weights import initial_weights
from tfc.federated.key_frame import key_frame, restart_with_key_frame
from tfc.federated.learning_process import join
from tfc.federated.method import Method
from tfc.federated.model_spec import ModelFn, clustered_spec
from tfc.federated.server_optimizer import server_optimizer
from tfc.methods.fedcompress_float_broadcast import build_clustered_averaging_finalizer
from tfc.methods.fedcompress_server import build_compressing_finalizer


def build_fedcompress(
    model_fn: ModelFn,
    data_type: tff.Type,
    config: ExperimentConfig,
    ood_fn: OodFn | None = None,
    *,
    record_payloads: bool = False,
) -> tff.learning.templates.LearningProcess:
    """Builds FedCompress: weight clustering at clients, server-side distillation, a number of clusters that adapts.

    Source: Tsouvalas, Saeed, Ozcelebi, Meratnia, "Communication-Efficient Federated Learning through Adaptive Weight
    Clustering and Server-Side Distillation" (ICASSP 2024, doi 10.1109/ICASSP48485.2024.10447174). With
    `communication.uplink = "weights"`, `server.master = false`, `clustering.start = "kmeans++"` and
    `clustering.layers = "conv"` it is the paper's, and with `server.compression = false`, too, its arm without
    server-side compression; the defaults palettize updates in place of weights, add a float
    master at the server, and cluster all kernels.

    Args:
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: Settings and seed.
        ood_fn: Builds the unlabelled out-of-distribution pipeline.
        record_payloads: Whether the metrics also hold the clients' payloads and what they amount to.

    Returns:
        A process with `next: (<S@SERVER, {<train,validation,context>}@CLIENTS> -> <state=S@SERVER,metrics@SERVER>)`;
        metrics as `build_fedavg`'s. With `model.initial = "seed"` the first weights are expanded from the seed (Glorot
        uniform), not `model_fn`'s; later broadcasts are coded given the one before.

    Raises:
        ValueError: If `ood_fn` is missing, or the model has no kernel large enough to cluster.

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
        >>> config = tfc.load("demo", ["clustering.max_clusters=16", "server.ood_examples=32"])
        >>> ood_fn = tfc.procedural_images(32, 16, (8, 8, 1), seed=0)
        >>> process = tfc.build_fedcompress(model_fn, data_type, config, ood_fn)
        >>> len(process.get_model_weights.type_signature.result.trainable)
        2
    """
    if ood_fn is None:
        raise ValueError("FedCompress distils on out-of-distribution data: ood_fn must build a pipeline")
    spec = clustered_spec(model_fn, config)
    if not spec.layout.kernels:
        raise ValueError(
            f"the model has no kernel of kind {config.clustering.layers!r} with more than "
            f"{2 * config.clustering.max_clusters} weights: nothing to cluster"
        )
    initial = initial_weights(spec, config.seed)
    clusters = config.clustering.min_clusters

    @tff.tensorflow.computation()
    def initial_kernels():
        return initial()[0]

    @tff.tensorflow.computation()
    def initial_model():
        if not spec.palettized_broadcast:
            kernels, others = initial()
            return spec.float_broadcast(tuple(kernels), tuple(others), tf.constant(clusters))
        control = tf.stack([rate_controller.first_rate_weight(config.communication, config.rounds)])
        if spec.initial_others:
            return spec.first_broadcast(config.seed, tf.constant(clusters), control)
        kernels, others = initial()
        return key_frame(spec, tuple(kernels), tuple(others), clusters, control, config.seed)

    if config.server.compression:
        finalizer = build_compressing_finalizer(spec, initial_kernels, ood_fn, config, record_payloads=record_payloads)
    else:
        finalizer = build_clustered_averaging_finalizer(spec, config, record_payloads=record_payloads)

    def forget(finalizer_state: Any) -> Any:
        optimizer = server_optimizer(spec, config)
        if config.server.compression:
            return finalizer_state._replace(optimizer=optimizer.forget(finalizer_state.optimizer))
        return finalizer_state[0], optimizer.forget(finalizer_state[1])

    return join(
        spec,
        initial_model,
        build_client_work(spec, data_type, config.training, config.clustering.start, config.seed, config.rounds),
        build_aggregator(record_payloads=record_payloads),
        finalizer,
        restart_with_key_frame(spec, config.seed, forget),
    )


FEDCOMPRESS = Method(build_fedcompress, messages=clustered_spec)
