"""The TFF processes: their types, their numbers on tiny data, what they refuse."""

import collections

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tfc import config
from tfc.clustering.quality import quality_score
from tfc.codec import message as numpy_codec
from tfc.codec.message import Message, message_bytes
from tfc.codec.palette import Palette, dequantize
from tfc.data.ood import procedural_images
from tfc.data.partition import ClientExamples
from tfc.federated.aggregator import Aggregate, build_aggregator
from tfc.federated.client_data import ClientFlags, client_data, client_data_type
from tfc.federated.client_work import build_client_update, build_client_work
from tfc.federated.distributor import build_distributor
from tfc.federated.global_model import CLIENT_SCALARS, GlobalModel, ModelSpec
from tfc.federated.process import METHODS, build_fedcompress

SHAPE, CLASSES, MAX_CLUSTERS = (8, 8, 1), 4, 8
TRACES = collections.Counter()


def model_fn():
    TRACES["model_fn"] += 1
    x = inputs = tf.keras.Input(SHAPE)
    initializer = tf.keras.initializers.HeNormal(1)
    x = tf.keras.layers.Conv2D(6, 3, padding="same", use_bias=False, kernel_initializer=initializer)(x)
    x = tf.keras.layers.BatchNormalization(momentum=0.5)(x)
    x = tf.keras.layers.ReLU()(x)
    x = tf.keras.layers.Conv2D(6, 3, padding="same", kernel_initializer=tf.keras.initializers.HeNormal(2))(x)
    x = tf.keras.layers.ReLU()(x)
    x = tf.keras.layers.GlobalAveragePooling2D(name="embedding")(x)
    return tf.keras.Model(
        inputs, tf.keras.layers.Dense(CLASSES, kernel_initializer=tf.keras.initializers.HeNormal(3))(x)
    )


def settings(**changes):
    tables = {
        "seed": 5,
        "training": {"batch_size": 8, "plain_epochs": 1, "clustered_epochs": 1, "learning_rate": 0.01},
        "clustering": {
            "min_clusters": 4, "max_clusters": MAX_CLUSTERS, "step": 2, "patience": 1, "init_rounds": 1, "limit": 9.0,
        },
        "server": {"ood_examples": 16, "batch_size": 8, "epochs": 1},
    }  # fmt: skip
    for table, values in changes.items():
        tables[table] = {**tables[table], **values}
    return config.from_dict(tables)


def examples(seed, train=24, validation=6):
    rng = np.random.default_rng(seed)

    def draw(count):
        y = rng.integers(0, CLASSES, count).astype(np.int32)
        x = rng.random((count, *SHAPE)).astype(np.float32) + 0.3 * y[:, None, None, None]
        return x.astype(np.float32), y

    return ClientExamples(*draw(train), *draw(validation))


DATA_TYPE = client_data_type(SHAPE, np.float32)
OOD = procedural_images(16, 8, SHAPE, 5)


@pytest.fixture(scope="module")
def plain(worker):
    return ModelSpec.of(model_fn, "none", 1)


@pytest.fixture(scope="module")
def clustered(worker):
    return ModelSpec.of(model_fn, "conv", MAX_CLUSTERS)


@pytest.fixture(scope="module")
def fedcompress(worker):
    process = build_fedcompress(model_fn, DATA_TYPE, settings(clustering={"layers": "conv"}), OOD)
    TRACES["after_build"] = TRACES["model_fn"]
    return process


@pytest.fixture(scope="module")
def fedavg(worker):
    return METHODS["fedavg"](model_fn, DATA_TYPE, settings())


def broadcast_of(spec, num_clusters, seed=0):
    """A random model of a specification, and its payload."""
    rng = np.random.default_rng(seed)
    palettes = []
    for shape in spec.layout.kernel_shapes:
        codebook = np.full(spec.max_clusters, 1e9, np.float32)
        codebook[:num_clusters] = np.linspace(-0.5, 0.5, num_clusters)
        palettes.append(Palette(codebook, rng.integers(0, num_clusters, shape).astype(np.uint8)))
    model = model_fn()
    _, others = spec.layout.split(model.trainable_variables, model.non_trainable_variables)
    message = Message(np.int32(num_clusters), tuple(palettes), tuple(other.numpy() for other in others), np.zeros(0))
    return message, np.frombuffer(numpy_codec.encode(message, spec.downlink), np.uint8)


def test_types_of_the_parts(clustered):
    distributor = build_distributor(clustered)
    payloads = tff.FederatedType(tff.TensorType(np.uint8, (None,)), tff.CLIENTS)
    assert distributor.next.type_signature.result.result.member == payloads.member
    work = build_client_work(clustered, DATA_TYPE, settings().training, "broadcast", 0)
    assert work.next.type_signature.parameter[1] == payloads
    assert str(work.next.type_signature.result.result.member) == "<update=uint8[?],update_weight=float32>"
    aggregator = build_aggregator(clustered)
    assert aggregator.is_weighted
    result = aggregator.next.type_signature.result.result.member
    assert result.python_container is Aggregate
    assert [tuple(kernel.shape) for kernel in result.kernels] == list(clustered.layout.kernel_shapes)


def test_distributor_sends_the_encoded_model_and_counts_every_copy(clustered):
    message, payload = broadcast_of(clustered, 5)
    distributor = build_distributor(clustered)

    @tff.federated_computation(
        tff.FederatedType(clustered.global_model_type, tff.SERVER), tff.FederatedType(np.int32, tff.CLIENTS)
    )
    def send(model, clients):
        output = distributor.next(distributor.initialize(), model)
        return output.result, output.measurements

    received, measurements = send(GlobalModel(message.num_clusters, message.palettes, message.others), [0, 0, 0])
    np.testing.assert_array_equal(received, payload)
    assert len(payload) == message_bytes(clustered.downlink, 5)
    assert measurements["downlink_bytes"] == 3 * len(payload)


def eager_plain_training(client, epochs, order):
    """Two epochs of Keras's own Adam, as an independent reference of the client's training."""
    model = model_fn()
    optimizer = tf.keras.optimizers.Adam(0.01)
    for batch in order:
        with tf.GradientTape() as tape:
            logits = model(client.x_train[batch], training=True)
            loss = tf.reduce_mean(tf.keras.losses.sparse_categorical_crossentropy(client.y_train[batch], logits, True))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
        )
    return model


def test_a_plain_client_trains_as_keras_does_batchnorm_included(plain):
    from tfc.training import shuffled_order

    client = examples(1, train=27)  # the incomplete last batch is dropped
    _, payload = broadcast_of(plain, 0)
    update = build_client_update(plain, DATA_TYPE, settings().training, "broadcast", 5)
    outcome = update(payload, client_data(client, 7, 2))
    answer = numpy_codec.decode(bytes(outcome["payload"]), plain.uplink)

    order = shuffled_order(tf.constant(27), 2, 8, 5, 2, 7).numpy()
    assert order.shape == (6, 8)
    assert all(len(np.unique(order[3 * epoch : 3 * epoch + 3])) == 24 for epoch in range(2))
    reference = eager_plain_training(client, 2, order)
    _, expected = plain.layout.split(reference.trainable_variables, reference.non_trainable_variables)
    for found, other in zip(answer.others, expected, strict=True):
        np.testing.assert_allclose(found, other, atol=2e-4)
    moved = [np.abs(a - b).max() for a, b in zip(answer.others, broadcast_of(plain, 0)[0].others, strict=True)]
    assert min(moved) > 1e-3, "every weight, BatchNorm statistics included, has moved"

    embedding = tf.keras.Model(reference.input, reference.get_layer("embedding").output)
    logits = reference(client.x_validation, training=False).numpy()
    num_train, num_validation, accuracy, score = answer.scalars
    assert (num_train, num_validation) == (27, 6)
    assert accuracy == pytest.approx((logits.argmax(1) == client.y_validation).mean(), abs=1e-6)
    assert score == pytest.approx(float(quality_score(embedding(client.x_validation, training=False))), rel=1e-2)
    assert outcome["weight"] == 27 and outcome["failed"] == 0


@pytest.mark.parametrize("start", ["broadcast", "kmeans++"])
def test_a_clustered_client_answers_with_palettes_of_the_broadcast_size(clustered, start):
    update = build_client_update(clustered, DATA_TYPE, settings().training, start, 5)
    broadcast, payload = broadcast_of(clustered, 5)
    outcome = update(payload, client_data(examples(1), 0, 1))
    assert len(outcome["payload"]) == message_bytes(clustered.uplink, 5)
    answer = numpy_codec.decode(bytes(outcome["payload"]), clustered.uplink)
    assert answer.num_clusters == 5
    for palette, old in zip(answer.palettes, broadcast.palettes, strict=True):
        assert (palette.codebook[:5] != old.codebook[:5]).all(), "centroids move"
        assert len(np.unique(dequantize(palette))) <= 5
        moved = np.abs(palette.codebook[:5] - old.codebook[:5]).max()
        assert (moved < 0.1) == (start == "broadcast"), "a warm start keeps an index's meaning"


@pytest.fixture(scope="module")
def client_update(clustered):
    return build_client_update(clustered, DATA_TYPE, settings().training, "broadcast", 5)


def nan_inputs(client):
    return ClientExamples(
        np.full_like(client.x_train, np.nan), client.y_train, client.x_validation, client.y_validation
    )


@pytest.mark.parametrize(
    "data",
    [
        client_data(examples(1, train=0), 0, 1),
        client_data(nan_inputs(examples(1)), 0, 1),
        client_data(examples(1), 0, 1, ClientFlags.DROPOUT),
    ],
    ids=["no examples", "not finite", "dropout"],
)
def test_a_client_that_does_not_count_sends_nothing(clustered, client_update, data):
    outcome = client_update(broadcast_of(clustered, 5)[1], data)
    assert (len(outcome["payload"]), outcome["weight"], outcome["failed"]) == (0, 0, 1)


def test_a_client_with_less_than_a_batch_or_without_validation_still_counts(clustered, client_update):
    outcome = client_update(broadcast_of(clustered, 5)[1], client_data(examples(1, train=3, validation=0), 0, 1))
    answer = numpy_codec.decode(bytes(outcome["payload"]), clustered.uplink)
    np.testing.assert_array_equal(answer.scalars, [3, 0, 0, 0])


def test_examples_may_come_in_several_batches(clustered, client_update):
    client, payload = examples(1), broadcast_of(clustered, 5)[1]
    whole = client_data(client, 0, 1)
    pairs = collections.OrderedDict(x=client.x_train, y=client.y_train)
    parts = collections.OrderedDict(whole, train=tf.data.Dataset.from_tensor_slices(pairs).batch(10))
    answers = [client_update(payload, data)["payload"] for data in (whole, parts)]
    np.testing.assert_array_equal(*answers)


def test_aggregator_means_by_examples_and_counts_bytes(clustered):
    messages = []
    for seed, scalars in [(1, [10, 4, 0.5, 2.0]), (2, [30, 12, 0.75, 3.0])]:
        message, _ = broadcast_of(clustered, 4 + seed, seed)
        messages.append(message._replace(scalars=np.array(scalars, np.float32)))
    payloads = [np.frombuffer(numpy_codec.encode(message, clustered.uplink), np.uint8) for message in messages]
    aggregator = build_aggregator(clustered)
    garbage = np.zeros(3, np.uint8)
    output = aggregator.next(aggregator.initialize(), [*payloads, garbage], [10.0, 30.0, 0.0])
    result = output.result
    for number in range(len(clustered.layout.kernels)):
        kernels = [dequantize(message.palettes[number]) for message in messages]
        np.testing.assert_allclose(result.kernels[number], 0.25 * kernels[0] + 0.75 * kernels[1], atol=1e-6)
    np.testing.assert_allclose(result.accuracy, (4 * 0.5 + 12 * 0.75) / 16)
    np.testing.assert_allclose(result.score, (4 * 2 + 12 * 3) / 16)
    assert result.weight == 40
    assert output.measurements["uplink_bytes"] == sum(map(len, payloads))
    assert output.measurements["clients_ok"] == 2
    nobody = aggregator.next(aggregator.initialize(), [garbage], [0.0])
    assert nobody.result.weight == 0 and all(np.isfinite(kernel).all() for kernel in nobody.result.kernels)


def data_of(clients, round_number, flags=ClientFlags.NONE):
    return [client_data(client, number, round_number, flags) for number, client in enumerate(clients)]


CLIENTS = [examples(1, 24), examples(2, 16)]


def test_fedavg_is_the_weighted_mean_of_its_clients(fedavg, plain):
    state = fedavg.initialize()
    update = build_client_update(plain, DATA_TYPE, settings().training, "broadcast", 5)
    model = state.global_model_weights
    payload = numpy_codec.encode(Message(0, (), tuple(model.others), np.zeros(0)), plain.downlink)
    answers = [
        numpy_codec.decode(bytes(update(np.frombuffer(payload, np.uint8), data)["payload"]), plain.uplink)
        for data in data_of(CLIENTS, 1)
    ]
    output = fedavg.next(state, data_of(CLIENTS, 1))
    for number, found in enumerate(output.state.global_model_weights.others):
        expected = 0.6 * answers[0].others[number] + 0.4 * answers[1].others[number]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    weights = fedavg.get_model_weights(output.state)
    assert [w.shape for w in weights.trainable] == [tuple(v.shape) for v in model_fn().trainable_variables]
    size = 4 + 4 * plain.uplink.num_parameters
    assert output.metrics["distributor"]["downlink_bytes"] == 2 * size
    assert output.metrics["aggregator"]["uplink_bytes"] == 2 * (size + 4 * CLIENT_SCALARS)


def test_a_round_in_which_nobody_counts_changes_no_model(fedavg, fedcompress):
    for process in (fedavg, fedcompress):
        state = process.initialize()
        output = process.next(state, data_of(CLIENTS, 1, ClientFlags.DROPOUT))
        tf.nest.map_structure(
            np.testing.assert_array_equal, process.get_model_weights(output.state), process.get_model_weights(state)
        )
        assert output.metrics["client_work"]["clients_failed"] == 2
        assert output.metrics["aggregator"]["clients_ok"] == 0


def run_rounds(process, rounds):
    state, history = process.initialize(), []
    for number in range(1, rounds + 1):
        output = process.next(state, data_of(CLIENTS, number))
        state = output.state
        history.append(tf.nest.map_structure(lambda value: np.asarray(value).tolist(), output.metrics))
    return state, history


@pytest.fixture(scope="module")
def three_rounds(fedcompress):
    return run_rounds(fedcompress, 3)


def test_the_number_of_clusters_grows_within_one_trace(three_rounds):
    _, history = three_rounds
    assert [metrics["finalizer"]["num_clusters"] for metrics in history] == [4, 6, 8]
    assert TRACES["model_fn"] == TRACES["after_build"], (
        "no round may trace the client's or the server's computation anew"
    )


def test_payloads_follow_the_number_of_clusters(three_rounds, clustered):
    _, history = three_rounds
    for metrics, clusters in zip(history, [4, 4, 6], strict=True):
        assert metrics["distributor"]["downlink_bytes"] == 2 * message_bytes(clustered.downlink, clusters)
        assert metrics["aggregator"]["uplink_bytes"] == 2 * message_bytes(clustered.uplink, clusters)


def test_the_model_is_palettized_and_the_master_is_not(three_rounds, fedcompress, clustered):
    state, _ = three_rounds
    kernels, _ = clustered.layout.split(*fedcompress.get_model_weights(state))
    for kernel, palette, master in zip(
        kernels, state.global_model_weights.palettes, state.finalizer.master, strict=True
    ):
        np.testing.assert_array_equal(kernel, dequantize(palette))
        assert len(np.unique(kernel)) <= 8 < len(np.unique(master))
        assert np.abs(kernel - master).max() < 1


def test_equal_seeds_give_equal_metrics_and_weights(three_rounds, fedcompress):
    state, history = three_rounds
    again_state, again_history = run_rounds(fedcompress, 3)
    assert history == again_history
    tf.nest.map_structure(np.testing.assert_array_equal, tf.nest.flatten(state), tf.nest.flatten(again_state))


def test_the_students_batchnorm_statistics_are_the_aggregated_ones(fedcompress, clustered):
    state = fedcompress.initialize()
    message = Message(
        np.int32(state.global_model_weights.num_clusters),
        tuple(Palette(*palette) for palette in state.global_model_weights.palettes),
        tuple(state.global_model_weights.others),
        np.zeros(0),
    )
    payload = np.frombuffer(numpy_codec.encode(message, clustered.downlink), np.uint8)
    update = build_client_update(clustered, DATA_TYPE, settings().training, "broadcast", 5)
    answers = [
        numpy_codec.decode(bytes(update(payload, data)["payload"]), clustered.uplink) for data in data_of(CLIENTS, 1)
    ]
    after = fedcompress.next(state, data_of(CLIENTS, 1)).state.global_model_weights.others
    for found, first, second in list(zip(after, answers[0].others, answers[1].others, strict=True))[-2:]:
        np.testing.assert_allclose(found, 0.6 * first + 0.4 * second, atol=1e-5)


def test_model_weights_can_be_set_and_callers_models_still_work(fedcompress, fedavg):
    mine = model_fn()
    for process in (fedavg, fedcompress):
        state = process.initialize()
        weights = process.get_model_weights(state)
        changed = tf.nest.map_structure(lambda value: np.asarray(value) + np.float32(1), weights)
        found = process.get_model_weights(process.set_model_weights(state, changed))
        for left, right in zip(found.non_trainable, changed.non_trainable, strict=True):
            np.testing.assert_array_equal(left, right)
        for left, right in zip(found.trainable, changed.trainable, strict=True):
            np.testing.assert_allclose(left, right, atol=0.6)
        found.assign_weights_to(mine)
    # Building processes traces Keras models into bare graphs, which must not break models of the caller.
    mine.compile(loss="mse")
    mine.evaluate(np.zeros((2, *SHAPE)), np.zeros((2, CLASSES)), verbose=0)


def test_the_papers_settings_run_without_a_master(worker):
    changed = settings(clustering={"layers": "conv", "start": "kmeans++"}, server={"master": False})
    process = build_fedcompress(model_fn, DATA_TYPE, changed, OOD)
    state, _ = run_rounds(process, 2)
    assert state.finalizer.master == ()
    assert all(len(np.unique(dequantize(palette))) <= 6 for palette in state.global_model_weights.palettes)


def test_builders_refuse_what_can_not_work(worker):
    with pytest.raises(ValueError, match="ood_fn must build a pipeline"):
        build_fedcompress(model_fn, DATA_TYPE, settings())
    with pytest.raises(ValueError, match="nothing to cluster"):
        build_fedcompress(model_fn, DATA_TYPE, settings(clustering={"max_clusters": 256}), OOD)
