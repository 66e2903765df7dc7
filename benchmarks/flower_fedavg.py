"""FedAvg in Flower's simulation with Keras: the other side of `against_flower.py`, run in an environment of its own.

    PYTHONPATH=. FLOWER_ENV/bin/python benchmarks/flower_fedavg.py DATA.npz OUT.json

Written as Flower's documentation has its Keras clients, with two changes in its favour: an actor builds its model once
and not for every message, and each actor's TensorFlow gets one thread, as there are as many actors as cores.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

_built: dict[str, Any] = {}
"""An actor's own model and data: it handles many clients' messages one after another."""


def compiled_model(data: Any, threads: int) -> Any:
    """The model of `tfc`, built for this environment's Keras and compiled once per process."""
    if "model" not in _built:
        import tensorflow as tf

        from tfc.registries import MODELS

        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        model = MODELS[str(data["model"])](data["x_test"].shape[1:], int(data["num_classes"]), seed=0)
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(tf.keras.optimizers.Adam(float(data["learning_rate"])), loss, metrics=["accuracy"])
        _built["model"] = model
        model.optimizer.build(model.trainable_variables)
        _built["fresh"] = [variable.numpy() for variable in model.optimizer.variables]
    return _built["model"]


def as_floats(images: np.ndarray) -> np.ndarray:
    """Pixels as Keras takes them, 0 to 1."""
    return images.astype(np.float32) / np.float32(255)


def client_app(path: str, threads: int) -> ClientApp:
    """Flower's client: takes the weights, trains with a fresh Adam, validates, answers with its weights."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        data = _built.setdefault("data", np.load(path))
        model = compiled_model(data, threads)
        number, batch = int(context.node_config["partition-id"]), int(data["batch_size"])
        model.set_weights(message.content["arrays"].to_numpy_ndarrays())
        for variable, value in zip(model.optimizer.variables, _built["fresh"], strict=True):
            variable.assign(value)
        x, y = as_floats(data[f"x_train_{number}"]), data[f"y_train_{number}"]
        whole = len(x) // batch * batch
        model.fit(x[:whole], y[:whole], batch_size=batch, epochs=int(data["epochs"]), verbose=0)
        x_valid, y_valid = as_floats(data[f"x_validation_{number}"]), data[f"y_validation_{number}"]
        _, accuracy = model.evaluate(x_valid, y_valid, batch_size=256, verbose=0)
        arrays = ArrayRecord(model.get_weights())
        metrics = MetricRecord({"num-examples": len(x), "validation_accuracy": accuracy})
        return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)

    return app


class CountingFedAvg(FedAvg):
    """Flower's FedAvg that adds up the bytes of the arrays in its messages and times its rounds, evaluation apart."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.sent: list[int] = []
        self.received: list[int] = []
        self.seconds: list[float] = []
        self._started = 0.0

    def configure_train(self, *arguments: Any) -> Any:
        """As FedAvg's, and counts."""
        self._started = time.perf_counter()
        messages = list(super().configure_train(*arguments))
        self.sent.append(sum(message.content["arrays"].count_bytes() for message in messages))
        return messages

    def aggregate_train(self, server_round: int, replies: Any) -> Any:
        """As FedAvg's, and counts; a client's error ends the measurement."""
        replies = list(replies)
        failed = [str(reply.error) for reply in replies if reply.has_error()]
        if failed:
            raise RuntimeError(f"{len(failed)} clients failed; the first: {failed[0]}")
        self.received.append(sum(reply.content["arrays"].count_bytes() for reply in replies))
        mean = super().aggregate_train(server_round, replies)
        self.seconds.append(time.perf_counter() - self._started)
        return mean


def server_app(path: str, out: Path) -> ServerApp:
    """Flower's server: FedAvg over all clients, the test set evaluated after every round."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        data = np.load(path)
        model = compiled_model(data, 0)
        x_test, y_test = as_floats(data["x_test"]), data["y_test"]
        clients, rounds = int(data["num_clients"]), int(data["rounds"])
        accuracies = []

        def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
            model.set_weights(arrays.to_numpy_ndarrays())
            _, accuracy = model.evaluate(x_test, y_test, batch_size=256, verbose=0)
            accuracies.append(float(accuracy))
            return MetricRecord({"accuracy": float(accuracy)})

        strategy = CountingFedAvg(
            fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=clients, min_available_nodes=clients
        )
        strategy.start(grid, ArrayRecord(model.get_weights()), rounds, evaluate_fn=evaluate)
        packages = ("flwr", "ray", "tensorflow-cpu", "tensorflow", "keras")
        result = {
            "seconds": strategy.seconds,
            "accuracies": accuracies[1:],
            "downlink_bytes": strategy.sent,
            "uplink_bytes": strategy.received,
            "versions": {name: found for name in packages if (found := _version(name))},
        }
        out.write_text(json.dumps(result))

    return app


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return ""


def main() -> None:
    """Runs the simulation and writes its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="NPZ file that against_flower.py wrote")
    parser.add_argument("out", type=Path, help="JSON file for the figures")
    parser.add_argument("--threads", type=int, default=1, help="threads of an actor's TensorFlow; 0: its own choice")
    options = parser.parse_args()
    run: Callable[..., None] = run_simulation
    run(
        server_app(str(options.data), options.out),
        client_app(str(options.data), options.threads),
        num_supernodes=int(np.load(options.data)["num_clients"]),
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )


if __name__ == "__main__":
    main()
