"""Own models and own data through `tfc.run`: the right numbers, or one line of refusal."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

import tfc
from tfc.base.run_files import CHECKPOINTS, INPUTS, SUMMARY

layers = tf.keras.layers
SETTINGS = {
    "rounds": 2,
    "data.num_clients": 2,
    "server.ood_examples": 32,
    "server.batch_size": 16,
    "training.batch_size": 16,
    "training.learning_rate": 0.01,
    "clustering.min_clusters": 4,
    "clustering.max_clusters": 8,
}


def quarters(count, seed):
    """Images (8, 8, 1) with one bright quarter, which is their class."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 4
    x = rng.random((count, 8, 8, 1)).astype(np.float32) / 2
    for image, label in zip(x, y, strict=True):
        image[4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += 0.5
    return x, y


IMAGES = (*quarters(160, 0), *quarters(80, 1))


def tokens(count, seed):
    """Sequences of 12 tokens; the class is the first one's rest."""
    x = np.random.default_rng(seed).integers(0, 20, (count, 12)).astype(np.int32)
    return x, x[:, 0] % 4


def transfer(seed=0):
    """A head on a frozen base whose weights are no fresh draw."""
    base = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 1)),
            layers.Conv2D(6, 3, use_bias=False, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
        ],
        name="base",
    )
    rng = np.random.default_rng(seed)
    base.set_weights([np.abs(rng.normal(size=value.shape)) for value in base.get_weights()])
    base.trainable = False
    inputs = tf.keras.Input((8, 8, 1))
    return tf.keras.Model(inputs, layers.Dense(4)(base(inputs, training=False)))


def noisy():
    return tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.GaussianNoise(0.1),
            layers.Dense(16, "relu"),
            layers.Dropout(0.3),
            layers.Dense(4),
        ]
    )


def attention():
    inputs = tf.keras.Input((8, 8, 1))
    steps = layers.Reshape((8, 8))(inputs)
    mixed = layers.Add()([layers.MultiHeadAttention(2, 8)(steps, steps), steps])
    return tf.keras.Model(inputs, layers.Dense(4)(layers.Flatten()(mixed)))


def recurrent():
    return tf.keras.Sequential(
        [tf.keras.Input((8, 8, 1)), layers.Reshape((8, 8)), layers.LSTM(8, dropout=0.1), layers.Dense(4)]
    )


def of_tokens():
    inputs = tf.keras.Input((12,), dtype="int32")
    return tf.keras.Model(inputs, layers.Dense(4)(layers.Flatten()(layers.Embedding(20, 8)(inputs))))


def of_table():
    return tf.keras.Sequential([tf.keras.Input((64,)), layers.Dense(4, kernel_regularizer="l2")])


def run(out, data=IMAGES, method="fedavg", settings=None, **parts):
    config = tfc.load("demo", {**SETTINGS, "method": method, **(settings or {})})
    return tfc.run(config, out, progress=False, data=data, **parts)


def evaluated(finished, x, y):
    """Accuracy and cross-entropy of the written model, by SciPy: without what its regularizers add."""
    model = tf.keras.models.load_model(finished.path / "model.keras", compile=False)
    logits = model.predict(x, verbose=0)
    loss = -log_softmax(logits, axis=1)[np.arange(len(y)), y].mean()
    return float((logits.argmax(axis=1) == y).mean()), float(loss)


def frozen_weights(finished):
    model = tf.keras.models.load_model(finished.path / "model.keras", compile=False)
    return model.get_layer("base").get_weights()


@pytest.mark.parametrize(
    "method",
    [
        "fedavg",
        "fedcompress",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("stc", "eden", "fedzip", "tff8bit")),
    ],
)
def test_frozen_weights_are_bit_equal_after_a_run_and_travel_once(worker, tmp_path, method):
    finished = run(tmp_path / "run", method=method, model=transfer())
    for value, before in zip(frozen_weights(finished), transfer().get_layer("base").get_weights(), strict=True):
        np.testing.assert_array_equal(value, before)
    once = 4 * (9 * 6 + 4 * 6)
    first, second = finished.rounds
    moved = 4 * (6 * 6 * 6 * 4 + 4)
    assert first.downlink_bytes >= 2 * once
    assert second.downlink_bytes < 2 * (moved + 100)
    if method != "eden":  # its first broadcast is a seed, its second one has 404 bytes
        assert second.downlink_bytes < first.downlink_bytes
    assert (second.accuracy, second.loss) == pytest.approx(evaluated(finished, *IMAGES[2:]), abs=1e-5)
    if method == "fedavg":
        assert first.downlink_bytes - second.downlink_bytes == 2 * once
        assert finished.summary["communication_ratio"] == 1.0


def test_random_layers_give_one_result_per_seed_also_after_a_resume(worker, tmp_path, monkeypatch):
    from tfc.simulation.training import Training

    losses = [[row.loss for row in run(tmp_path / name, model_fn=noisy).rounds] for name in ("first", "again")]
    assert losses[0] == losses[1]
    other = run(tmp_path / "other", model_fn=noisy, settings={"seed": 1})
    assert [row.loss for row in other.rounds] != losses[0]

    play, played = Training.play_round, []

    def ending(training):
        if played:
            raise KeyboardInterrupt
        played.append(play(training))
        return played[-1]

    monkeypatch.setattr(Training, "play_round", ending)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "resumed", model_fn=noisy)
    monkeypatch.setattr(Training, "play_round", play)
    assert (tmp_path / "resumed" / CHECKPOINTS).is_dir()
    with pytest.raises(tfc.RunError, match="data differ from what the run was started with"):
        run(tmp_path / "resumed", (IMAGES[0] + 1, *IMAGES[1:]), model_fn=noisy)
    with pytest.raises(tfc.RunError, match=r"layers or frozen weights differ"):
        run(tmp_path / "resumed", model=attention())
    assert [row.loss for row in run(tmp_path / "resumed", model_fn=noisy).rounds] == losses[0]


X, Y = IMAGES[:2]
SHARED = of_table()
FLAT = (X.reshape(-1, 64), Y, IMAGES[2].reshape(-1, 64), IMAGES[3])
RIGHT = {
    "recurrent": (IMAGES, {"model": recurrent()}, "fedcompress", {}),
    "attention, built twice": (IMAGES, {"model": attention()}, "fedcompress", {}),
    "tokens": ((*tokens(160, 0), *tokens(80, 1)), {"model": of_tokens()}, "fedcompress", {"data.kind": "tokens"}),
    "a table": (FLAT, {"model_fn": of_table}, "fedcompress", {}),
    "a function that returns one model": (FLAT, {"model_fn": lambda: SHARED}, "fedavg", {}),
    "a model without inputs": (
        IMAGES, {"model_fn": lambda: tf.keras.Sequential([layers.Flatten(), layers.Dense(4)])}, "fedavg", {},
    ),
    "uint8 pixels and labels (n, 1)": (
        ((X * 255).astype(np.uint8), Y[:, None], (IMAGES[2] * 255).astype(np.uint8), IMAGES[3][:, None]),
        {"model_fn": noisy}, "fedavg", {},
    ),
}  # fmt: skip


SLOW = ("recurrent", "a function that returns one model", "attention, built twice", "tokens")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in RIGHT]
)
def test_what_people_bring_is_trained_and_evaluated_right(worker, tmp_path, name):
    data, parts, method, settings = RIGHT[name]
    finished = run(tmp_path / "run", data, method, settings, **parts)
    x_test, y_test = np.asarray(data[2]), np.ravel(data[3])
    x_test = x_test / np.float32(255) if x_test.dtype == np.uint8 else x_test
    last = finished.rounds[-1]
    assert (last.accuracy, last.loss) == pytest.approx(evaluated(finished, x_test, y_test), abs=1e-5)
    assert finished.summary["dataset"] == finished.summary["model"] == "memory"
    assert all(row.clients_failed == 0 for row in finished.rounds) and (tmp_path / "run" / INPUTS).is_file()


def softmax():
    return tf.keras.Sequential([tf.keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(4, "softmax")])


@pytest.mark.parametrize(
    "parts,settings,message",
    [
        ({"model": softmax()}, {}, "model: ends with a softmax"),
        ({"model_fn": softmax}, {}, "model_fn: ends with a softmax"),
        ({"model": noisy(), "model_fn": noisy}, {}, "give one of them"),
        ({"process": 3}, {}, "process must be a tff.learning.templates.LearningProcess"),
        ({}, {"model.name": "memory"}, r"tfc\.run\(config, out, model=\.\.\.\)"),
        (
            {"model": noisy()},
            {"model.embedding": "nothing"},
            "model.embedding = 'nothing': the model has no such layer",
        ),
    ],
)
def test_refusals_are_one_line_and_write_nothing(tmp_path, parts, settings, message):
    with pytest.raises(tfc.FedCompressError, match=message) as refusal:
        run(tmp_path / "run", settings=settings, **parts)
    assert "\n" not in str(refusal.value) and not (tmp_path / "run" / SUMMARY).exists()


def test_tffs_own_process_is_refused_by_what_its_metrics_lack(worker, tmp_path):
    import tensorflow_federated as tff

    def functional():
        return tff.learning.models.functional_model_from_keras(
            of_table(), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            {"x": tf.TensorSpec([None, 64]), "y": tf.TensorSpec([None], tf.int32)},
        )  # fmt: skip

    process = tff.learning.algorithms.build_weighted_fed_avg(
        functional(), tff.learning.optimizers.build_sgdm(0.1), tff.learning.optimizers.build_sgdm(1.0)
    )
    with pytest.raises(tfc.ConfigError, match=r"its metrics lack distributor\.payload_bytes, .*tfc\.build_aggregated"):
        run(tmp_path / "run", FLAT, model_fn=of_table, process=process)


def test_a_builder_of_ones_own_and_a_registered_method_run(worker, tmp_path):
    calls = []

    @tfc.register_method("counted")
    def build(model_fn, data_type, config, ood_fn=None):
        calls.append(config.method)
        return tfc.build_fedavg(model_fn, data_type, config)

    finished = run(tmp_path / "method", FLAT, "counted", {"rounds": 1}, model_fn=of_table)
    assert finished.summary["uplink"] == "counted" and calls == ["counted"]
    again = run(tmp_path / "process", FLAT, "fedavg", {"rounds": 1}, model_fn=of_table, process=build)
    assert [dataclasses.replace(row, seconds=0.0) for row in again.rounds] == [
        dataclasses.replace(row, seconds=0.0) for row in finished.rounds
    ]
    with pytest.raises(tfc.ConfigError, match="'fedavg' is taken"):
        tfc.register_method("fedavg")(build)


def test_a_run_in_which_no_update_counts_ends_with_an_error(worker, tmp_path):
    with pytest.raises(tfc.RunError, match=r"no client's update counted in any of 1 rounds \(2 dropped\)"):
        run(tmp_path / "run", FLAT, settings={"rounds": 1, "faults.dropout": 1.0}, model_fn=of_table)
    assert not (tmp_path / "run" / SUMMARY).exists()


class Unseeded(layers.Layer):
    """A layer of the user's own that draws from TensorFlow's global state."""

    def call(self, x, training=False):
        return x + tf.random.normal(tf.shape(x)) if training else x


def test_what_no_seed_decides_is_said(capsys):
    from tfc.simulation.experiment import load_experiment
    from tfc.simulation.own_parts import OwnParts
    from tfc.simulation.start import say_what_no_seed_decides

    def told(model_fn, **settings):
        config = tfc.load("demo", {**SETTINGS, **settings})
        say_what_no_seed_decides(load_experiment(config, OwnParts(IMAGES, model_fn=model_fn)))
        return capsys.readouterr().err

    def own_noise():
        inputs = tf.keras.Input((8, 8, 1))
        return tf.keras.Model(inputs, layers.Dense(4)(layers.Flatten()(Unseeded()(inputs))))

    assert told(noisy) == ""
    assert "not repeatable: the model draws random numbers by RandomStandardNormal without" in told(own_noise)
    assert "TFF's quantisation rounds at random" in told(noisy, method="tff8bit")
    bounded = {"aggregation": "dp", "server.update_norm_bound": 1.0}
    assert "differentially private aggregator draws its noise" in told(noisy, method="fedavg", **bounded)


def test_the_log_lists_how_every_weight_travels():
    from tfc.simulation.experiment import load_experiment
    from tfc.simulation.own_parts import OwnParts
    from tfc.simulation.weight_list import weight_lines

    def lines(**settings):
        config = tfc.load("demo", {**SETTINGS, **settings})
        return weight_lines(load_experiment(config, OwnParts(IMAGES, model=transfer())))

    found = lines(**{"clustering.layers": "conv"})
    assert found[0] == "clustered: 0 kernels, 0 weights" and found[1].startswith("not clustered: dense")
    assert found[1].endswith("216x4, 3,456 bytes as float32")
    assert found[2:] == [
        "side parameters: 2 tensors, 3,472 bytes as float32", "frozen: 5 tensors, 312 bytes, sent to each client once",
    ]  # fmt: skip
    assert lines()[0] == "clustered: 1 kernels, 864 weights"


def test_an_own_loop_that_samples_clients_counts_the_same_bytes(worker, tmp_path):
    from tfc.federated.kept_broadcasts import KeptBroadcasts, as_arrays
    from tfc.simulation.experiment import load_experiment
    from tfc.simulation.own_parts import OwnParts
    from tfc.simulation.round import sampled_clients

    settings = {"rounds": 3, "data.num_clients": 3, "clients_per_round": 1, "seed": 2}
    finished = run(tmp_path / "run", FLAT, "fedcompress", settings, model_fn=of_table)
    config = tfc.load("demo", {**SETTINGS, **settings})
    experiment = load_experiment(config, OwnParts(FLAT, model_fn=of_table))
    data_type = tfc.client_data_type((64,), np.float32)
    process = tfc.build_fedcompress(of_table, data_type, config, experiment.ood_fn)
    state, tracker, counted = process.initialize(), tfc.BroadcastTracker(), []
    kept = KeptBroadcasts(tfc.METHODS["fedcompress"].messages(of_table, config).downlink, config.server.kept_broadcasts)
    for number in (1, 2, 3):
        broadcast, clients = state.global_model_weights, sampled_clients(config, number)
        kept.add(number, as_arrays(broadcast.model), broadcast.control)
        lengths = np.size(broadcast.payload), np.size(broadcast.key_frame)
        shipments = tracker.ship(clients, *lengths, catch_up_bytes=lambda since: len(kept.message(since)))
        data = [tfc.client_data(experiment.clients[client], client, number) for client in clients]
        state, metrics = process.next(state, data)
        counted.append((int(metrics["aggregator"]["uplink_bytes"]), sum(each.length for each in shipments)))
    assert counted == [(row.uplink_bytes, row.downlink_bytes) for row in finished.rounds]
    assert len({sampled_clients(config, number)[0] for number in (1, 2, 3)}) > 1, "some client missed a broadcast"
