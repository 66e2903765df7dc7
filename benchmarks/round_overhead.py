"""Time of a TFF round against a plain `tf.function` loop over the same batches.

    python benchmarks/round_overhead.py [--rounds 6]

FedAvg on the clients of `fashion-resnet8`: one call of the learning process' `next` (worker process, messages,
training, validation, aggregation) against Keras' model and fused Adam in one traced loop in this process, over the same
examples in the same order. The two are measured in turn; the first round, in which the worker builds its graphs, is
not counted.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from record import interleaved_ms, paired_ratio, save

from tfc import config
from tfc.data.partition import ClientExamples
from tfc.data.pixels import to_float
from tfc.federated.client_data import client_data, client_data_type
from tfc.federated.training_loop import shuffled_order
from tfc.methods.fedavg import build_fedavg
from tfc.simulation.configured_data import load_clients, load_dataset
from tfc.simulation.experiment import expected_data, model_builder
from tfc.workers.local import local_worker


def plain_loop(
    model: tf.keras.Model, experiment: config.ExperimentConfig, clients: Sequence[ClientExamples]
) -> Callable[[], Any]:
    """One pass over all clients: weights reset, fresh Adam, the same batches; no messages, no averaging."""
    start = [tf.constant(weight) for weight in model.get_weights()]
    optimizer = tf.keras.optimizers.legacy.Adam(experiment.training.learning_rate)
    optimizer.apply_gradients((tf.zeros_like(variable), variable) for variable in model.trainable_variables)
    epochs = experiment.training.plain_epochs + experiment.training.clustered_epochs

    @tf.function
    def train(x: tf.Tensor, y: tf.Tensor, client: tf.Tensor) -> tf.Tensor:
        for variable, value in zip(model.weights, start, strict=True):
            variable.assign(value)
        for slot in optimizer.variables():
            slot.assign(tf.zeros_like(slot))
        x = to_float(x)
        order = shuffled_order(tf.shape(y)[0], epochs, experiment.training.batch_size, experiment.seed, 1, client)
        loss = tf.constant(0.0)
        for batch in order:
            with tf.GradientTape() as tape:
                logits = model(tf.gather(x, batch), training=True)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather(y, batch), logits))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    def round_() -> None:
        for number, client in enumerate(clients):
            train(tf.constant(client.x_train), tf.constant(client.y_train), tf.constant(number)).numpy()

    return round_


def main() -> None:
    """Measures and writes `results/round_overhead.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()

    experiment = config.load("fashion-resnet8", ["method=fedavg"])
    dataset = load_dataset(experiment)
    clients = load_clients(experiment, dataset)

    model_fn = model_builder(experiment, expected_data(dataset))

    with local_worker():
        process = build_fedavg(model_fn, client_data_type(dataset.input_shape, dataset.x_train.dtype), experiment)
        state = process.initialize()
        data = [client_data(client, number, 1) for number, client in enumerate(clients)]
        functions = {
            "tff_round": lambda: process.next(state, data),
            "plain_loop": plain_loop(model_fn(), experiment, clients),
        }
        samples = interleaved_ms(functions, options.rounds, warm_up=1)
    result = {
        **{f"{name}_ms": round(statistics.median(times), 1) for name, times in samples.items()},
        "tff_to_plain": round(paired_ratio(samples, "tff_round", "plain_loop"), 4),
        "samples_ms": {name: [round(value, 1) for value in times] for name, times in samples.items()},
    }
    print(result)
    print(save("round_overhead", f"python benchmarks/round_overhead.py --rounds {options.rounds}", result))


if __name__ == "__main__":
    main()
