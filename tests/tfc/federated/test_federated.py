"""The parts of a learning process: their types, their numbers on tiny data, what they refuse."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from scipy import stats
from tiny_federation import (
    DATA_TYPE,
    SHAPE,
    answer_of,
    assert_equal,
    broadcast_of,
    examples,
    model_fn,
    settings,
    told_kernels,
)

from tfc.clustering.quality import quality_score
from tfc.codec import message as numpy_codec
from tfc.codec.frequency_bands import LARGEST_SCALE, band_numbers, coefficients
from tfc.codec.message_spec import Message
from tfc.codec.palette import dequantize
from tfc.data.partition import ClientExamples
from tfc.federated.aggregator import ClientPayloads, build_aggregator, mean_of_payloads
from tfc.federated.client_data import ClientFlags, client_data
from tfc.federated.client_work import build_client_update, build_client_work
from tfc.federated.distributor import build_distributor
from tfc.federated.model_spec import Broadcast, ModelSpec
from tfc.federated.model_weights import assign


def test_types_of_the_parts(clustered):
    distributor = build_distributor(clustered)
    received = distributor.next.type_signature.result.result.member
    assert str(received[0]) == "uint8[?]" and received[1] == clustered.reference_type
    work = build_client_work(clustered, DATA_TYPE, settings().training, "broadcast", 0)
    assert work.next.type_signature.parameter[1].member.is_assignable_from(received)
    assert str(work.next.type_signature.result.result.member) == "<update=uint8[?],update_weight=float32>"
    aggregator = build_aggregator()
    assert aggregator.is_weighted
    result = aggregator.next.type_signature.result.result.member
    assert str(result) == "<data=uint8[?],lengths=int32[?],weights=float32[?]>"
    assert clustered.broadcast_type.python_container is Broadcast


def test_distributor_sends_the_payload_and_counts_every_copy(clustered):
    held, payload = broadcast_of(clustered, 5)
    key_frame = payload[:7]
    distributor = build_distributor(clustered)

    @tff.federated_computation(
        tff.FederatedType(clustered.broadcast_type, tff.SERVER), tff.FederatedType(np.int32, tff.CLIENTS)
    )
    def send(broadcast, clients):
        output = distributor.next(distributor.initialize(), broadcast)
        return output.result, output.measurements

    received, measurements = send(Broadcast(payload, key_frame, held, held, np.ones(1, np.float32)), [0, 0, 0])
    np.testing.assert_array_equal(received[0], payload)
    assert_equal(received[1], held)
    assert measurements["downlink_bytes"] == 3 * len(payload) and measurements["clients"] == 3
    assert measurements["payload_bytes"] == len(payload) and measurements["key_frame_bytes"] == 7


def eager_plain_training(client, epochs, order, held=None, spec=None, learning_rate=0.01):
    """Epochs of Keras's own Adam, as an independent reference of the client's training."""
    model = model_fn()
    if held is not None:
        assign(model, spec.layout, [dequantize(palette) for palette in held.palettes], held.others)
    optimizer = tf.keras.optimizers.Adam(learning_rate)
    for batch in order:
        with tf.GradientTape() as tape:
            logits = model(client.x_train[batch], training=True)
            loss = tf.reduce_mean(tf.keras.losses.sparse_categorical_crossentropy(client.y_train[batch], logits, True))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
        )
    return model


@pytest.mark.parametrize("statistics", ["untouched", "known"])
def test_a_plain_client_trains_as_keras_does_batchnorm_included(plain, statistics):
    from tfc.federated.training_loop import shuffled_order

    client = examples(1, train=27)  # the incomplete last batch is dropped
    held, payload = broadcast_of(plain, 0)
    count = len(plain.layout.moving)
    if statistics == "known":
        known = tuple(np.full_like(other, 0.25) for other in held.others[-count:])
        message = Message(np.int32(0), (), (*held.others[:-count], *known), np.zeros(0, np.float32))
        payload = np.frombuffer(numpy_codec.encode(message, plain.downlink), np.uint8)
        held = numpy_codec.decode(bytes(payload), plain.downlink).held
    update = build_client_update(plain, DATA_TYPE, settings().training, "broadcast", 5)
    outcome = update(payload, held, client_data(client, 7, 2))
    answer = numpy_codec.decode(bytes(outcome["update"]), plain.uplink).message

    order = shuffled_order(tf.constant(27), 2, 8, 5, 2, 7).numpy()
    assert order.shape == (6, 8)
    assert all(len(np.unique(order[3 * epoch : 3 * epoch + 3])) == 24 for epoch in range(2))
    reference = eager_plain_training(client, 2, order, held, plain)
    for variable, start in zip(reference.non_trainable_variables, held.others[-count:], strict=True):
        if statistics == "untouched":  # after six steps at momentum 0.5, 1/64 of the start is left, and comes out
            variable.assign((variable - start / 64) / (1 - 1 / 64))
    _, expected = plain.layout.split(reference.trainable_variables, reference.non_trainable_variables)
    for found, other in zip(answer.others, expected, strict=True):
        np.testing.assert_allclose(found, other, atol=2e-4)
    moved = [np.abs(a - b).max() for a, b in zip(answer.others, held.others, strict=True)]
    assert min(moved) > 1e-3, "every weight, BatchNorm statistics included, has moved"

    embedding = tf.keras.Model(reference.input, reference.get_layer("embedding").output)
    logits = reference(client.x_validation, training=False).numpy()
    num_train, num_validation, accuracy, score = answer.scalars
    assert (num_train, num_validation) == (27, 6)
    assert accuracy == pytest.approx((logits.argmax(1) == client.y_validation).mean(), abs=1e-6)
    assert score == pytest.approx(float(quality_score(embedding(client.x_validation, training=False))), rel=1e-2)
    assert outcome["weight"] == 27 and sum(outcome["by_fault"]) == 0


@pytest.mark.parametrize(("round_number", "rate"), [(2, 0.01), (3, 0.01 * 0.25**0.5), (4, 0.0025), (9, 0.0025)])
def test_learning_rates_fall_by_equal_factors_in_the_last_rounds(plain, round_number, rate):
    from tfc.federated.training_loop import shuffled_order

    client = examples(1)
    held, payload = broadcast_of(plain, 0)
    training = dataclasses.replace(settings().training, final_learning_rate_share=0.25, final_rounds=2)
    update = build_client_update(plain, DATA_TYPE, training, "broadcast", 5, rounds=4)
    outcome = update(payload, held, client_data(client, 7, round_number))
    answer = numpy_codec.decode(bytes(outcome["update"]), plain.uplink).message
    order = shuffled_order(tf.constant(24), 2, 8, 5, round_number, 7).numpy()
    reference = eager_plain_training(client, 2, order, held, plain, learning_rate=rate)
    for found, expected in zip(answer.others, [v.numpy() for v in reference.trainable_variables], strict=False):
        np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("start", ["broadcast", "kmeans++"])
def test_a_client_that_clusters_weights_answers_with_palettes_of_the_broadcast_size(worker, start):
    spec = ModelSpec.of(model_fn, "conv", 8, uplink_mode="weights")
    update = build_client_update(spec, DATA_TYPE, settings().training, start, 5)
    held, payload = broadcast_of(spec, 5)
    outcome = update(payload, held, client_data(examples(1), 0, 1))
    answer = numpy_codec.decode(bytes(outcome["update"]), spec.uplink, held).message
    assert answer.num_clusters == 5
    for palette, old in zip(answer.palettes, held.palettes, strict=True):
        assert (palette.codebook[:5] != old.codebook[:5]).any(), "centroids move"
        assert len(np.unique(dequantize(palette))) <= 5
        moved = np.abs(palette.codebook[:5] - old.codebook[:5]).max()
        assert (moved < 0.1) == (start == "broadcast"), "a warm start keeps an index's meaning"


def latent_update(client, held, spec, order):
    """What a client's plain training changes, by Keras's own Adam."""
    model = eager_plain_training(client, 1, order, held, spec)
    kernels, _ = spec.layout.split(model.trainable_variables, model.non_trainable_variables)
    return [kernel.numpy() - dequantize(palette) for kernel, palette in zip(kernels, held.palettes, strict=True)]


@pytest.mark.parametrize("clustered_epochs", [0, 1])
def test_a_client_that_clusters_its_update_answers_with_its_unbiased_palette(worker, clustered_epochs):
    from tfc.federated.training_loop import shuffled_order

    spec = ModelSpec.of(model_fn, "conv", 8, uplink_mode="update", update_levels=7)
    training = dataclasses.replace(settings().training, clustered_epochs=clustered_epochs)
    update = build_client_update(spec, DATA_TYPE, training, "broadcast", 5)
    held, payload = broadcast_of(spec, 5)
    client = examples(1)
    outcome = update(payload, held, client_data(client, 0, 1))
    answer = numpy_codec.decode(bytes(outcome["update"]), spec.uplink, held).message
    latent = latent_update(client, held, spec, shuffled_order(tf.constant(24), 1, 8, 5, 1, 0).numpy())
    parts = zip(answer.palettes, told_kernels(answer), answer.band_scales, latent, strict=True)
    for palette, quantized, scales, change in parts:
        assert palette.codebook[3] == 0 and 1 < len(np.unique(palette.indices)) <= 7
        if clustered_epochs:  # the latent update has moved on, through the palette
            assert (quantized * change).sum() / (change * change).sum() > 0.5
            continue
        told, wanted, bands = coefficients(quantized), coefficients(change), band_numbers(change.shape)
        for band, scale in enumerate(scales):
            mine = bands == band
            products, squares = ((each * wanted).ravel()[mine].sum() for each in (told, wanted))
            if 0 < scale < LARGEST_SCALE:  # a band nothing of which is worth its bits is not told
                assert products / squares == pytest.approx(1, abs=0.05)
        assert 0 < scales[0] < LARGEST_SCALE, "the lowest frequencies are"


def test_the_price_of_a_bit_comes_with_the_broadcast(worker):
    spec = ModelSpec.of(model_fn, "conv", 8, uplink_mode="update")
    training = dataclasses.replace(settings().training, clustered_epochs=0)
    update = build_client_update(spec, DATA_TYPE, training, "broadcast", 5)
    held, _ = broadcast_of(spec, 5)
    entropies = []
    for price in (0.0, 0.5):
        message = Message(held.num_clusters, held.palettes, held.others, np.array([price], np.float32))
        payload = np.frombuffer(numpy_codec.encode(message, spec.downlink), np.uint8)
        outcome = update(payload, held, client_data(examples(1), 0, 1))
        answer = numpy_codec.decode(bytes(outcome["update"]), spec.uplink, held).message
        counts = [np.bincount(palette.indices.ravel(), minlength=9) for palette in answer.palettes]
        entropies.append(sum(stats.entropy(count, base=2) * count.sum() for count in counts))
    assert entropies[1] < 0.8 * entropies[0]


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
        client_data(dataclasses.replace(examples(1), x_validation=np.full((6, *SHAPE), np.nan, np.float32)), 0, 1),
        client_data(examples(1), 0, 1, ClientFlags.DROPOUT),
        client_data(examples(1), 0, 1, scale=float("nan")),
        client_data(examples(1), 0, 1, most_bytes=20),
    ],
    ids=["no examples", "not finite", "validation not finite", "dropout", "made not finite", "late"],
)
def test_a_client_that_does_not_count_sends_nothing(clustered, client_update, data):
    held, payload = broadcast_of(clustered, 5)
    outcome = client_update(payload, held, data)
    assert (len(outcome["update"]), outcome["weight"], sum(outcome["by_fault"])) == (0, 0, 1)


def test_an_answer_that_is_damaged_on_its_way_differs_in_one_byte(clustered, client_update):
    held, payload = broadcast_of(clustered, 5)
    sound = client_update(payload, held, client_data(examples(1), 0, 1))["update"]
    # To the last byte it is in time.
    damaged = client_data(examples(1), 0, 1, ClientFlags.CORRUPT, most_bytes=len(sound))
    outcome = client_update(payload, held, damaged)
    assert np.count_nonzero(outcome["update"] != sound) == 1 and sum(outcome["by_fault"]) == 0
    with pytest.raises(ValueError):
        numpy_codec.decode(bytes(outcome["update"]), clustered.uplink, held)


def test_a_client_with_less_than_a_batch_or_without_validation_still_counts(clustered, client_update):
    held, payload = broadcast_of(clustered, 5)
    outcome = client_update(payload, held, client_data(examples(1, train=3, validation=0), 0, 1))
    answer = numpy_codec.decode(bytes(outcome["update"]), clustered.uplink, held).message
    np.testing.assert_array_equal(answer.scalars, [3, 0, 0, 0])


def test_examples_may_come_in_several_batches(clustered, client_update):
    client, (held, payload) = examples(1), broadcast_of(clustered, 5)
    whole = client_data(client, 0, 1)
    pairs = collections.OrderedDict(x=client.x_train, y=client.y_train)
    parts = collections.OrderedDict(whole, train=tf.data.Dataset.from_tensor_slices(pairs).batch(10))
    answers = [client_update(payload, held, data)["update"] for data in (whole, parts)]
    np.testing.assert_array_equal(*answers)


def test_a_client_understands_what_is_coded_given_what_it_holds_and_nothing_else(clustered, client_update):
    held, payload = broadcast_of(clustered, 5)
    other, _ = broadcast_of(clustered, 5, seed=9)
    message = Message(held.num_clusters, held.palettes, held.others, np.array([0.8], np.float32))
    difference = np.frombuffer(numpy_codec.encode(message, clustered.downlink, held), np.uint8)
    assert len(difference) < len(payload) / 4
    understood = client_update(difference, held, client_data(examples(1), 0, 1))
    assert sum(understood["by_fault"]) == 0
    np.testing.assert_array_equal(
        understood["update"], client_update(payload, held, client_data(examples(1), 0, 1))["update"]
    )
    for received, base in [(difference, other), (payload[:-3], held), (payload[:0], held)]:
        outcome = client_update(received, base, client_data(examples(1), 0, 1))
        assert sum(outcome["by_fault"]) == 1


def test_a_client_expands_a_seed_whatever_it_holds(clustered, client_update):
    held, _ = broadcast_of(clustered, 5)
    seed = np.frombuffer(numpy_codec.encode_seed(4, 6, np.array([0.8]), clustered.downlink), np.uint8)
    outcome = client_update(seed, held, client_data(examples(1), 0, 1))
    assert sum(outcome["by_fault"]) == 0
    expanded = numpy_codec.decode(bytes(seed), clustered.downlink).held
    assert numpy_codec.decode(bytes(outcome["update"]), clustered.uplink, expanded).message.scalars[0] == 24


@pytest.fixture(scope="module")
def answers(clustered):
    """A broadcast and two clients' answers to it: messages and payloads."""
    held, _ = broadcast_of(clustered, 5)
    pairs = [answer_of(clustered, held, [10, 4, 0.5, 2.0], 1), answer_of(clustered, held, [30, 12, 0.75, 3.0], 2)]
    return held, [message for message, _ in pairs], [payload for _, payload in pairs]


def test_aggregator_only_concatenates_and_counts_bytes(answers):
    _, _, payloads = answers
    aggregator = build_aggregator()
    sent = [payloads[0], payloads[1], np.zeros(0, np.uint8)]
    output = aggregator.next(aggregator.initialize(), sent, [10.0, 30.0, 0.0])
    np.testing.assert_array_equal(output.result.data, np.concatenate(payloads))
    np.testing.assert_array_equal(output.result.lengths, [len(payload) for payload in sent])
    np.testing.assert_array_equal(output.result.weights, [10, 30, 0])
    assert output.measurements["uplink_bytes"] == sum(map(len, payloads))


def mean(spec, broadcast, payloads, weights):
    held = tf.nest.map_structure(tf.constant, broadcast)

    @tf.function
    def decode_and_average():
        data = tf.constant(np.concatenate(payloads))
        collected = ClientPayloads(data, tf.constant([len(p) for p in payloads]), tf.constant(weights, tf.float32))
        return mean_of_payloads(spec, held, collected)

    return decode_and_average()


def kernel_of(spec, held, message, number):
    before = dequantize(held.palettes[number]) if spec.palettizes_update else 0
    return before + told_kernels(message)[number]


def test_the_server_means_by_examples_what_the_payloads_say(clustered, answers):
    broadcast, messages, payloads = answers
    nothing = np.zeros(0, np.uint8)
    result = mean(clustered, broadcast, [payloads[0], nothing, payloads[1]], [10, 0, 30])
    for number in range(len(clustered.layout.kernels)):
        kernels = [kernel_of(clustered, broadcast, message, number) for message in messages]
        np.testing.assert_allclose(result.kernels[number], 0.25 * kernels[0] + 0.75 * kernels[1], atol=1e-6)
    for found, first, second in zip(result.others, messages[0].others, messages[1].others, strict=True):
        np.testing.assert_allclose(found, 0.25 * first + 0.75 * second, atol=1e-6)
    np.testing.assert_allclose(result.accuracy, (4 * 0.5 + 12 * 0.75) / 16)
    np.testing.assert_allclose(result.score, (4 * 2 + 12 * 3) / 16)
    assert result.weight == 40 and result.clients == 2


@pytest.mark.parametrize("scalars", [[3e38, 4, 0.5, 2], [10, -4, 0.5, 2], [10, 4, 1.5, 2], [10, 4, 0.5, -1]])
def test_answers_that_claim_the_impossible_do_not_count(clustered, answers, scalars):
    broadcast, messages, payloads = answers
    _, lie = answer_of(clustered, broadcast, scalars, 3)
    result = mean(clustered, broadcast, [payloads[0], lie], [10, 30])
    assert result.weight == 10 and result.clients == 1
    np.testing.assert_allclose(result.kernels[0], kernel_of(clustered, broadcast, messages[0], 0), atol=1e-6)


def test_damaged_payloads_do_not_count(clustered, answers):
    broadcast, messages, payloads = answers
    flipped = payloads[1].copy()
    flipped[50] ^= 4
    result = mean(clustered, broadcast, [payloads[0], flipped, payloads[1][:20]], [10, 30, 30])
    assert result.weight == 10 and result.clients == 1
    np.testing.assert_allclose(result.kernels[0], kernel_of(clustered, broadcast, messages[0], 0), atol=1e-6)
    nobody = mean(clustered, broadcast, [flipped], [30])
    assert nobody.weight == 0 and all(np.isfinite(kernel).all() for kernel in nobody.kernels)
