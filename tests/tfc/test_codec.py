"""The message format: both implementations write the same bytes and read them back."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfc.codec import graph
from tfc.codec.message import CodecError, Message, MessageSpec, decode, encode, message_bytes
from tfc.codec.palette import UNUSED_CENTROID, Palette, dequantize, index_bits, pack_indices, unpack_indices


def random_message(seed, kernel_shapes, other_shapes, num_clusters, max_clusters, num_scalars):
    rng = np.random.default_rng(seed)
    spec = MessageSpec(tuple(kernel_shapes), tuple(other_shapes), max_clusters, num_scalars)
    palettes = []
    for shape in kernel_shapes:
        codebook = np.full(max_clusters, UNUSED_CENTROID, np.float32)
        codebook[:num_clusters] = rng.normal(size=num_clusters)
        palettes.append(Palette(codebook, rng.integers(0, num_clusters, shape).astype(np.uint8)))
    others = tuple(rng.normal(size=shape).astype(np.float32) for shape in other_shapes)
    clusters = np.int32(num_clusters if kernel_shapes else 0)
    return Message(clusters, tuple(palettes), others, rng.normal(size=num_scalars).astype(np.float32)), spec


def assert_equal(left, right):
    tf.nest.map_structure(np.testing.assert_array_equal, left, right)


SHAPES = st.lists(st.lists(st.integers(1, 5), min_size=0, max_size=4).map(tuple), min_size=0, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), SHAPES, SHAPES, st.integers(1, 256), st.integers(0, 4))
def test_numpy_and_graph_write_the_same_bytes_and_read_them_back(seed, kernels, others, num_clusters, scalars):
    message, spec = random_message(seed, kernels, others, num_clusters, 256, scalars)
    payload = encode(message, spec)
    assert len(payload) == message_bytes(spec, num_clusters)
    assert_equal(decode(payload, spec), message)
    tensors = tf.nest.map_structure(tf.constant, message)
    assert bytes(graph.encode(tensors, spec).numpy()) == payload
    decoded = graph.decode(tf.constant(np.frombuffer(payload, np.uint8)), spec)
    assert_equal(tf.nest.map_structure(lambda t: t.numpy(), decoded), message)


def test_golden_bytes():
    codebook = np.array([-1.0, 0.5, 2.0, UNUSED_CENTROID], np.float32)
    palette = Palette(codebook, np.array([[0, 1, 2], [2, 1, 0]], np.uint8))
    spec = MessageSpec(((2, 3),), ((2,),), 4, 1)
    message = Message(np.int32(3), (palette,), (np.array([1.0, -2.0], np.float32),), np.array([0.25], np.float32))
    assert encode(message, spec).hex() == (
        "00000300" + "0000803e" + "000080bf0000003f00000040" + "a401" + "0000803f000000c0"
    )


@pytest.mark.parametrize("num_clusters,bits", [(1, 1), (2, 1), (3, 2), (4, 2), (16, 4), (17, 5), (32, 5), (256, 8)])
def test_index_bits(num_clusters, bits):
    assert index_bits(num_clusters) == bits
    assert int(graph.index_bits(tf.constant(num_clusters))) == bits


@pytest.mark.parametrize("num_clusters", [0, 257])
def test_index_bits_refuses_what_no_byte_holds(num_clusters):
    with pytest.raises(ValueError, match="between 1 and 256"):
        index_bits(num_clusters)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=50))
def test_packing_is_as_short_as_the_width_allows(values):
    packed = pack_indices(np.array(values, np.uint8), 3)
    assert len(packed) == (3 * len(values) + 7) // 8
    np.testing.assert_array_equal(unpack_indices(packed, len(values), 3), values)


def test_dequantize_looks_up_the_codebook():
    palette = Palette(np.array([0.5, -1.0], np.float32), np.array([[0, 1], [1, 1]], np.uint8))
    np.testing.assert_array_equal(dequantize(palette), [[0.5, -1.0], [-1.0, -1.0]])
    np.testing.assert_array_equal(graph.dequantize(palette), dequantize(palette))


def test_damaged_messages_are_refused_with_the_place():
    message, spec = random_message(1, [(3, 3)], [(2,)], 5, 16, 1)
    payload = encode(message, spec)
    for bytes_, what in [
        (payload[:3], "inside its header"),
        (b"\x07" + payload[1:], "byte 0: format version 7"),
        (payload[:2] + b"\x11\x00" + payload[4:], "byte 2: 17 clusters"),
        (payload[:-1], "ask for"),
        (payload + b"\0", "ask for"),
    ]:
        with pytest.raises(CodecError, match=what):
            decode(bytes_, spec)
    stream = 4 + 4 + 4 * 5
    with pytest.raises(CodecError, match="cluster index 7 of 5"):
        decode(payload[:stream] + b"\xff" + payload[stream + 1 :], spec)


def test_messages_that_do_not_fit_are_refused():
    message, spec = random_message(1, [(3, 3)], [(2,)], 5, 16, 0)
    with pytest.raises(CodecError, match="between 1 and 16"):
        encode(message._replace(num_clusters=17), spec)
    with pytest.raises(CodecError, match="shapes differ"):
        encode(message._replace(others=()), spec)
    with pytest.raises(CodecError, match="not below the number of clusters 2"):
        encode(message._replace(num_clusters=2), spec)
