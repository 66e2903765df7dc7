"""The message format: both implementations write the same bytes, read them back, and refuse hostile ones."""

import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfc.codec import graph, rans, rans_graph, tables
from tfc.codec.message import (
    CodecError,
    Message,
    MessageSpec,
    base_checksum,
    decode,
    encode,
    float32_message_bytes,
)
from tfc.codec.palette import MAX_CLUSTERS, UNUSED_CENTROID, Palette, dequantize


def random_palettes(rng, shapes, num_clusters, max_clusters, base=None, change=1.0):
    palettes = []
    for number, shape in enumerate(shapes):
        codebook = np.full(max_clusters, UNUSED_CENTROID, np.float32)
        codebook[:num_clusters] = rng.normal(size=num_clusters) * 10.0 ** rng.integers(-3, 3)
        indices = rng.integers(0, num_clusters, shape)
        if base is not None:
            indices = np.where(rng.random(shape) < change, indices, base[number].indices)
        palettes.append(Palette(codebook, np.minimum(indices, num_clusters - 1).astype(np.uint8)))
    return tuple(palettes)


def random_message(seed, kernel_shapes, other_shapes, num_clusters, max_clusters, num_scalars, base=None, change=1.0):
    rng = np.random.default_rng(seed)
    spec = MessageSpec(tuple(kernel_shapes), tuple(other_shapes), max_clusters, num_scalars)
    others = tuple(rng.normal(size=shape).astype(np.float32) * 10.0 ** rng.integers(-9, 9) for shape in other_shapes)
    return Message(
        np.int32(num_clusters if kernel_shapes else 0),
        random_palettes(rng, kernel_shapes, num_clusters, max_clusters, base, change),
        tuple(other.astype(np.float32) for other in others),
        rng.normal(size=num_scalars).astype(np.float32),
    ), spec


def tensors(structure):
    return tf.nest.map_structure(tf.constant, structure)


def bytes_tensor(payload):
    return tf.constant(np.frombuffer(payload, np.uint8))


def assert_equal(left, right):
    tf.nest.map_structure(np.testing.assert_array_equal, tf.nest.flatten(left), tf.nest.flatten(right))


SHAPES = st.lists(st.lists(st.integers(1, 6), min_size=0, max_size=4).map(tuple), min_size=0, max_size=4)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 999), SHAPES, SHAPES, st.integers(1, MAX_CLUSTERS), st.integers(0, 4), st.booleans(), st.data())
def test_numpy_and_graph_write_the_same_bytes_and_read_them_back(
    seed, kernels, others, clusters, scalars, with_base, data
):
    held = data.draw(st.integers(1, clusters))
    change = data.draw(st.sampled_from([0.0, 0.1, 1.0]))
    base = random_palettes(np.random.default_rng(seed), kernels, held, MAX_CLUSTERS) if with_base else None
    message, spec = random_message(seed + 1, kernels, others, clusters, MAX_CLUSTERS, scalars, base, change)
    payload = encode(message, spec, base)
    decoded = decode(payload, spec, base)
    # Indices and scalars exactly; floats to the 11 bits of a half, relative to the largest of the tensor.
    np.testing.assert_array_equal(decoded.scalars, message.scalars)
    for found, sent in zip(decoded.palettes, message.palettes, strict=True):
        np.testing.assert_array_equal(found.indices, sent.indices)
        used = sent.codebook[:clusters]
        np.testing.assert_allclose(found.codebook[:clusters], used, rtol=2**-11, atol=np.abs(used).max() * 2**-24)
        assert (found.codebook[clusters:] == np.float32(UNUSED_CENTROID)).all()
    for found, sent in zip(decoded.others, message.others, strict=True):
        if kernels:
            np.testing.assert_allclose(found, sent, rtol=2**-11, atol=np.abs(sent).max(initial=0) * 2**-24)
        else:
            np.testing.assert_array_equal(found, sent)
    assert encode(decoded, spec, base) == payload, "what was decoded is exactly representable"

    assert graph.encode(tensors(message), spec, tensors(base) if base else base).numpy().tobytes() == payload
    in_graph, sound = graph.decode(bytes_tensor(payload), spec, tensors(base) if base else base)
    assert bool(sound)
    assert_equal(in_graph, decoded)


def test_golden_bytes_of_a_key_frame_and_of_a_difference():
    """docs/wire-format.md explains these two messages byte by byte."""
    spec = MessageSpec(((2, 3),), ((2,),), 4, 1)
    codebook = np.array([-1.0, 0.5, 2.0, UNUSED_CENTROID], np.float32)
    palette = Palette(codebook, np.array([[0, 1, 2], [2, 1, 0]], np.uint8))
    message = Message(np.int32(3), (palette,), (np.array([1.0, -2.0], np.float32),), np.array([0.25], np.float32))
    key = encode(message, spec)
    assert key.hex() == GOLDEN_KEY_FRAME
    moved = palette._replace(indices=np.array([[0, 1, 2], [2, 2, 0]], np.uint8))
    difference = encode(message._replace(palettes=(moved,)), spec, (palette,))
    assert difference.hex() == GOLDEN_DIFFERENCE
    assert difference[4:8] == zlib.adler32(bytes([0, 1, 2, 2, 1, 0])).to_bytes(4, "little")


GOLDEN_KEY_FRAME = (
    "4643010000000000030003000000803e0100b80034003c03004242420605090066e50800bb0a0300bb0a030001003800bc2d074f93"
)
GOLDEN_DIFFERENCE = (
    "4643010107001b00030003000000803e0100b80034003c02004d3a0f710700dd6901000f3101000f31010001003800bc69068c8d"
)


def test_a_magnitude_that_rounds_up_to_a_power_of_two_stays_representable():
    base = random_palettes(np.random.default_rng(0), [(2, 2)], 2, 4)
    spec = MessageSpec(((2, 2),), ((3,),), 4)
    others = (np.array([1.99999, 3e-8, 1e-3], np.float32),)
    codebook = np.array([-3.99999, 5e-8, UNUSED_CENTROID, UNUSED_CENTROID], np.float32)
    message = Message(np.int32(2), (base[0]._replace(codebook=codebook),), others, np.zeros(0, np.float32))
    payload = encode(message, spec)
    decoded = decode(payload, spec)
    assert decoded.others[0][0] == 2 and decoded.palettes[0].codebook[0] == -4
    assert encode(decoded, spec) == payload
    assert graph.encode(tensors(message), spec).numpy().tobytes() == payload


def test_an_unchanged_kernel_costs_its_codebook_and_a_table_of_one_symbol():
    base = random_palettes(np.random.default_rng(0), [(3, 3, 32, 32)], 16, 32)
    spec = MessageSpec(((3, 3, 32, 32),), (), 32)
    message = Message(np.int32(16), base, (), np.zeros(0, np.float32))
    fixed = 12 + 1 + 2 * 16 + 2 + 1 + 4 * spec.lanes + 4
    assert len(encode(message, spec, base)) == fixed


def test_a_message_without_clustered_kernels_holds_float32():
    message, spec = random_message(0, [], [(7, 3), (5,)], 1, 1, 2)
    payload = encode(message, spec)
    assert len(payload) == float32_message_bytes(26, 2) == 12 + 4 * 28 + 4
    assert payload[12:-4] == np.concatenate([message.scalars, *(o.ravel() for o in message.others)]).tobytes()


def test_size_is_close_to_the_conditional_entropy():
    """On indices of which one in ten moves to a neighbour, against the entropy of just that."""
    rng = np.random.default_rng(0)
    shape, clusters = (3, 3, 64, 64), 16
    codebook = np.full(32, UNUSED_CENTROID, np.float32)
    codebook[:clusters] = np.linspace(-1, 1, clusters)
    old = rng.integers(1, clusters - 1, shape)
    new = old + rng.choice([-1, 0, 1], shape, p=[0.05, 0.9, 0.05])
    base = (Palette(codebook, old.astype(np.uint8)),)
    message = Message(np.int32(clusters), (Palette(codebook, new.astype(np.uint8)),), (), np.zeros(0, np.float32))
    spec = MessageSpec((shape,), (), 32)
    entropy_bytes = -(0.9 * np.log2(0.9) + 0.1 * np.log2(0.05)) * old.size / 8
    overhead = 12 + 4 + 2 * clusters + 1 + 2 + 4 * spec.lanes
    assert len(encode(message, spec, base)) < 1.02 * entropy_bytes + overhead
    assert len(encode(message, spec)) > 5 * entropy_bytes


def damaged_cases():
    base = random_palettes(np.random.default_rng(2), [(3, 3)], 5, 16)
    message, spec = random_message(1, [(3, 3)], [(2,)], 5, 16, 1, base, 0.3)
    return message, spec, base, encode(message, spec, base)


def with_checksum(body):
    return bytes(body) + zlib.adler32(bytes(body)).to_bytes(4, "little")


def changed(payload, position, *values):
    body = bytearray(payload[:-4])
    body[position : position + len(values)] = bytes(values)
    return with_checksum(body)


@pytest.mark.parametrize(
    "damage,message",
    [
        (lambda p: p[:3], "ends at byte 3, inside its header"),
        (lambda p: p[:13], "inside its checksum"),
        (lambda p: b"XX" + p[2:], "byte 0: 5858 is not the magic"),
        (lambda p: changed(p, 2, 9), "byte 2: format version 9"),
        (lambda p: p[:20] + bytes([p[20] ^ 1]) + p[21:], "the checksum does not match"),
        (lambda p: changed(p, 3, 7), "byte 3: unknown kind 7"),
        (lambda p: changed(p, 4, 1, 2, 3, 4), "byte 4: the message refers to base 04030201, held is"),
        (lambda p: changed(p, 8, 17, 0), "byte 8: 17 clusters, allowed are 1 to 16"),
        (lambda p: changed(p, 8, 0, 0), "byte 8: 0 clusters"),
        (lambda p: changed(p, 10, 63), "byte 10: 64 lanes, the model asks for 4"),
        (lambda p: changed(p, 12 + 4 + 1 + 10, 255, 255), "a table of 65535 symbols, at most 31"),
        (lambda p: changed(p, 12 + 4 + 1 + 10 + 2, 81), "81 is no code of a frequency"),
        (lambda p: with_checksum(p[:40]), "ends at byte 40, inside its"),
        (lambda p: with_checksum(p[:-4] + b"\0"), "an odd number of bytes"),
        (lambda p: with_checksum(p[:-4] + b"\0\0"), "do not end as they should"),
    ],
)
def test_damaged_messages_are_refused_with_the_place(damage, message):
    _, spec, base, payload = damaged_cases()
    broken = damage(payload)
    with pytest.raises(CodecError, match=message):
        decode(broken, spec, base)
    _, sound = graph.decode(bytes_tensor(broken), spec, tensors(base))
    assert not bool(sound)


def test_a_difference_needs_its_base():
    message, spec, base, payload = damaged_cases()
    with pytest.raises(CodecError, match=f"refers to base {base_checksum(base):08x}, this end holds none"):
        decode(payload, spec)
    assert not bool(graph.decode(bytes_tensor(payload), spec)[1])
    other = random_palettes(np.random.default_rng(3), [(3, 3)], 5, 16)
    with pytest.raises(CodecError, match="byte 4"):
        decode(payload, spec, other)
    # A key frame is understood by whoever holds something, too.
    assert_equal(decode(encode(message, spec), spec, base).palettes, decode(payload, spec, base).palettes)


def test_messages_that_do_not_fit_are_refused():
    message, spec, base, _ = damaged_cases()
    for change, what in [
        ({"num_clusters": 17}, "between 1 and 16"),
        ({"others": ()}, "message's shapes differ"),
        ({"num_clusters": 2}, "not below the number of clusters 2"),
    ]:
        with pytest.raises(CodecError, match=what):
            encode(message._replace(**change), spec)
    with pytest.raises(CodecError, match="base's shapes differ"):
        encode(message, spec, base[:0])


def mutations(payload, count, seed):
    """Cut, flipped, overwritten and inserted bytes; in every other one the checksum is right again."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        body = bytearray(payload[:-4])
        for _ in range(rng.integers(1, 4)):
            kind, place = rng.integers(4), rng.integers(len(body)) if body else 0
            if kind == 0 and body:
                body[place] ^= 1 << rng.integers(8)
            elif kind == 1 and body:
                body[place] = rng.choice([0, 1, 127, 128, 255])
            elif kind == 2:
                del body[place:]
            else:
                body[place:place] = rng.bytes(rng.integers(1, 9))
        yield with_checksum(body) if number % 2 else bytes(body) + payload[-4:]


def model_of_300_weights():
    base = random_palettes(np.random.default_rng(5), [(3, 3, 4, 6), (6, 10)], 6, 16)
    message, spec = random_message(6, [(3, 3, 4, 6), (6, 10)], [(6,), (6,), (12,)], 8, 16, 4, base, 0.2)
    return spec, base, message


def test_hostile_bytes_end_in_a_message_or_in_one_kind_of_error():
    spec, base, message = model_of_300_weights()
    refused = 0
    for held in (base, None):
        payload = encode(message, spec, held)
        for broken in mutations(payload, 10_000, seed=7):
            try:
                found = decode(broken, spec, base)
            except CodecError as error:
                assert "byte" in str(error)
                refused += 1
            else:
                assert all(palette.indices.max() < found.num_clusters for palette in found.palettes)
    assert refused > 15_000


def test_the_graph_decoder_agrees_on_hostile_bytes():
    spec, base, message = model_of_300_weights()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.uint8)])
    def in_graph(payload):
        return graph.decode(payload, spec, tensors(base))

    verdicts = set()
    for broken in [*mutations(encode(message, spec, base), 600, 8), encode(message, spec, base), b""]:
        found, sound = in_graph(bytes_tensor(broken))
        assert all(palette.indices.numpy().max() < 16 for palette in found.palettes)
        try:
            expected = decode(broken, spec, base)
        except CodecError:
            assert not bool(sound)
        else:
            assert bool(sound)
            assert_equal(found, expected)
        verdicts.add(bool(sound))
    assert verdicts == {True, False}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 400), st.integers(1, 5), st.integers(1, 9), st.sampled_from([1, 4, 32]))
def test_rans_restores_any_stream(seed, count, num_contexts, alphabet, lanes):
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 50, (num_contexts, alphabet)) * (rng.random((num_contexts, alphabet)) < 0.7)
    weights[:, 0] += 1
    frequencies = tables.frequencies_of(tables.codes_of(weights))
    contexts = rng.integers(0, num_contexts, count)
    symbols = np.array([rng.choice(np.flatnonzero(frequencies[context])) for context in contexts])
    states, words = rans.encode(symbols, contexts, frequencies, lanes)
    found, sound = rans.decode(states, words, contexts, frequencies)
    np.testing.assert_array_equal(found, symbols)
    assert sound
    arguments = (tf.constant(contexts), tf.constant(frequencies), count, lanes)
    graph_states, graph_words = rans_graph.encode(tf.constant(symbols), *arguments)
    np.testing.assert_array_equal(graph_states, states)
    np.testing.assert_array_equal(graph_words, words)
    graph_found, graph_sound = rans_graph.decode(graph_states, graph_words, *arguments)
    np.testing.assert_array_equal(graph_found, symbols)
    assert bool(graph_sound)
    _, short = rans.decode(states, words[:-1], contexts, frequencies)
    assert not short or not len(words)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), min_size=1, max_size=5))
def test_tables_add_up_and_keep_what_occurs(counts):
    counts = np.array(counts)
    frequencies = tables.frequencies_of(tables.codes_of(counts))
    np.testing.assert_array_equal(frequencies.sum(axis=1), 4096)
    occurs = counts.sum(axis=1) > 0
    np.testing.assert_array_equal(frequencies[occurs] > 0, counts[occurs] > 0)
    shares = counts[occurs] / counts[occurs].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(frequencies[occurs] / 4096, shares, atol=0.07)


@given(st.binary(max_size=300))
def test_the_graphs_checksum_is_adler32(data):
    assert int(graph.adler32(bytes_tensor(data))) == zlib.adler32(data)


def test_dequantize_looks_up_the_codebook():
    palette = Palette(np.array([0.5, -1.0], np.float32), np.array([[0, 1], [1, 1]], np.uint8))
    np.testing.assert_array_equal(dequantize(palette), [[0.5, -1.0], [-1.0, -1.0]])
    np.testing.assert_array_equal(graph.dequantize(palette), dequantize(palette))
