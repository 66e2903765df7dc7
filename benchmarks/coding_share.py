"""What coding adds to a round of FedCompress on `fashion-resnet8`.

    python benchmarks/coding_share.py [--rounds 5]

In turn: one call of the learning process' `next`, and all coding that such a round does, on the messages of the round
before: each client decodes the broadcast and encodes its answer (two clients at a time, as TFF's worker has them on two
cores), the server decodes all answers and averages them, encodes the next broadcast and decodes it. The share is the
median of the ratios of neighbouring turns.
"""

from __future__ import annotations

import argparse
import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf
from record import interleaved_ms, paired_ratio, save

from tfc import config, graph_codec
from tfc.codec.message_spec import ReferenceModel
from tfc.federated.aggregator import ClientPayloads, mean_of_payloads
from tfc.federated.client_data import client_data, client_data_type
from tfc.federated.model_spec import ModelSpec, clustered_spec, reference_model
from tfc.methods.fedcompress import build_fedcompress
from tfc.simulation.configured_data import load_clients, load_dataset
from tfc.simulation.experiment import build_ood, expected_data, model_builder
from tfc.workers.local import local_worker


class Coding:
    """All coding of one round, traced once as TFF traces it."""

    def __init__(self, spec: ModelSpec, broadcast: Any, collected: Any) -> None:
        self._base = tf.nest.map_structure(tf.constant, reference_model(broadcast.base))
        self._held = tf.nest.map_structure(tf.constant, reference_model(broadcast.model))
        self._payload = tf.constant(broadcast.payload)
        ends = np.cumsum(collected.lengths)
        self._answers = [
            tf.constant(collected.data[end - length : end]) for end, length in zip(ends, collected.lengths, strict=True)
        ]
        update = spec.palettizes_update
        bytes_ = tf.TensorSpec([None], tf.uint8)

        @tf.function(input_signature=[bytes_])
        def decode_broadcast(payload: tf.Tensor) -> ReferenceModel:
            return graph_codec.decode(payload, spec.downlink, self._base)[0].held

        @tf.function(input_signature=[bytes_])
        def decode_answer(payload: tf.Tensor) -> Any:
            return graph_codec.decode(payload, spec.uplink, self._held)[0].message

        self.decode_broadcast, self.decode_answer = decode_broadcast, decode_answer
        self._messages = [decode_answer(answer) for answer in self._answers]
        self._next = decode_broadcast(self._payload)

        @tf.function
        def encode_answer(message: Any) -> tf.Tensor:
            return graph_codec.encode(message, spec.uplink, self._held, update=update)

        @tf.function
        def encode_broadcast(held: ReferenceModel) -> tf.Tensor:
            message = self._messages[0]._replace(
                num_clusters=held.num_clusters,
                palettes=held.palettes,
                others=held.others,
                scalars=tf.constant(broadcast.control),
            )
            return graph_codec.encode(message, spec.downlink, self._base)

        @tf.function
        def average_answers(collected: ClientPayloads) -> Any:
            return mean_of_payloads(spec, self._held, collected)

        self._collected = ClientPayloads(*(tf.constant(part) for part in collected))
        self.average_answers = average_answers
        self.encode_answer, self.encode_broadcast = encode_answer, encode_broadcast

    def client(self, number: int) -> None:
        """Decodes the broadcast, encodes the answer."""
        self.decode_broadcast(self._payload)
        self.encode_answer(self._messages[number]).numpy()

    def round(self) -> None:
        """All clients two at a time, then the server."""
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self.client, range(len(self._answers))))
        self.average_answers(self._collected)
        payload = self.encode_broadcast(self._next)
        tf.nest.map_structure(lambda tensor: tensor.numpy(), self.decode_broadcast(payload))


def main() -> None:
    """Measures and writes `results/coding_share.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    experiment = config.load("fashion-resnet8")
    dataset = load_dataset(experiment)
    clients = load_clients(experiment, dataset)

    model_fn = model_builder(experiment, expected_data(dataset))

    with local_worker():
        data_type = client_data_type(dataset.input_shape, dataset.x_train.dtype)
        ood_fn = build_ood(experiment, dataset.input_shape)
        process = build_fedcompress(model_fn, data_type, experiment, ood_fn, record_payloads=True)
        data = [client_data(client, number, 1) for number, client in enumerate(clients)]
        state = process.next(process.initialize(), data).state
        broadcast = state.global_model_weights  # a difference
        output = process.next(state, data)
        coding = Coding(clustered_spec(model_fn, experiment), broadcast, output.metrics["aggregator"]["payloads"])
        samples = interleaved_ms(
            {"round": lambda: process.next(state, data), "coding": coding.round}, options.rounds, warm_up=1
        )
    result = {
        **{f"{name}_ms": round(statistics.median(times), 1) for name, times in samples.items()},
        "coding_by_round": round(paired_ratio(samples, "coding", "round"), 4),
        "samples_ms": {name: [round(value, 1) for value in times] for name, times in samples.items()},
    }
    print(result)
    print(save("coding_share", f"python benchmarks/coding_share.py --rounds {options.rounds}", result))


if __name__ == "__main__":
    main()
