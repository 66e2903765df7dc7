"""The message format: both implementations write the same bytes and read them back; sizes; golden bytes."""

import dataclasses
import zlib

import numpy as np
import pytest
import tensorflow as tf
from codec_examples import (
    assert_equal,
    bytes_tensor,
    random_held,
    random_message,
    random_update,
    spec_of,
    tensors,
    update_spec,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tfc import graph_codec
from tfc.codec.message import decode, encode, encode_seed
from tfc.codec.message_spec import Kind, Message, ReferenceModel, float32_message_bytes
from tfc.codec.palette import MAX_CLUSTERS, UNUSED_CENTROID, Palette, dequantize
from tfc.codec.spec_file import from_json, to_json

SHAPES = st.lists(st.lists(st.integers(1, 6), min_size=0, max_size=4).map(tuple), min_size=0, max_size=4)


def both_ways(message, spec, held, *, update=False):
    """Encodes and decodes with both implementations, which have to agree; returns the payload and what it says."""
    payload = encode(message, spec, held, update=update)
    decoded = decode(payload, spec, held)
    assert graph_codec.encode(tensors(message), spec, tensors(held), update=update).numpy().tobytes() == payload
    in_graph, sound = graph_codec.decode(bytes_tensor(payload), spec, tensors(held))
    assert bool(sound)
    assert_equal(in_graph, decoded)
    return payload, decoded


def largest_changes(message, held, spec):
    """The largest change of each other parameter, relative ones in units of the held value's power of two."""
    for value, before, relative in zip(message.others, held.others, spec.is_relative, strict=True):
        power = 2.0 ** np.maximum(np.floor(np.log2(np.maximum(np.abs(before), 1e-30))), -10) if relative else 1.0
        change = np.abs((value - before) / power).max(initial=0)
        yield min(change, 1) if relative else change, np.abs(value / power).max(initial=0), power, relative


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), SHAPES, SHAPES, st.sampled_from([1, 7, 32, MAX_CLUSTERS]), st.booleans(), st.data())
def test_numpy_and_graph_write_the_same_bytes_and_read_them_back(seed, kernels, others, slots, with_held, data):
    spec = spec_of(kernels, others, slots, data.draw(st.integers(0, 4)))
    clusters = data.draw(st.integers(1, slots))
    before = data.draw(st.integers(1, clusters))
    change = data.draw(st.sampled_from([0.0, 0.1, 1.0]))
    held = random_held(seed, spec, before) if with_held and kernels else None
    message = random_message(seed + 1, spec, clusters, held, change)
    _, (found, moves) = both_ways(message, spec, held)
    np.testing.assert_array_equal(found.scalars, message.scalars)
    for number, (palette, sent) in enumerate(zip(found.palettes, message.palettes, strict=True)):
        np.testing.assert_array_equal(palette.indices, sent.indices)
        used = sent.codebook[:clusters]
        tolerance = 0.0
        if held:
            earlier = np.zeros(clusters, np.float32)
            earlier[:before] = held.palettes[number].codebook[:before]
            tolerance = max(np.abs(used).max() * 2.0**-8, np.abs(used - earlier).max() * 2.0**-14)
        np.testing.assert_allclose(palette.codebook[:clusters], used, rtol=0, atol=tolerance)
        assert (palette.codebook[clusters:] == np.float32(UNUSED_CENTROID)).all()
    if held is None:
        assert_equal(found.others, message.others)
        assert not any(move.any() for move in moves)
        return
    changes = largest_changes(message, held, spec)
    for value, sent, (change, largest, power, relative) in zip(found.others, message.others, changes, strict=True):
        # Half a step: the largest change takes 4 bits, that of a kernel 7; no step is below 2^-10 of the largest value.
        step = max(change * 2.0 ** (-6 if value.ndim > 1 else -3), largest * 2.0**-10)
        close = np.abs(value - sent) <= (0.5 * step + 1e-6 * largest) * power
        least = (sent <= value) & (value <= np.minimum(0.125, 2 * step) * power)  # variances stay above zero
        assert (close | least if relative else close).all()
    for move, palette, earlier in zip(moves, found.palettes, held.palettes, strict=True):
        old = palette.codebook[np.minimum(earlier.indices, clusters - 1)]
        moved = np.sign(dequantize(palette) - old).astype(int)
        # Equal centroids have different ranks: a move between them does not show in the value.
        assert ((np.array([0, 1, -1])[move] == moved) | (moved == 0)).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), SHAPES.filter(len), SHAPES, st.integers(2, 40), st.sampled_from([3, 9, 33]))
def test_updates_keep_zero_and_their_indices(seed, kernels, others, clusters, levels):
    held_spec = spec_of(kernels, others, 40, 2)
    held = random_held(seed, held_spec, clusters)
    spec = update_spec(held_spec, levels)
    message = random_update(seed, spec, held)
    _, (found, _) = both_ways(message, spec, held, update=True)
    for palette, sent in zip(found.palettes, message.palettes, strict=True):
        np.testing.assert_array_equal(palette.indices, sent.indices)
        assert palette.codebook[levels // 2] == 0
        tolerance = np.abs(sent.codebook).max() * 2.0**-6
        np.testing.assert_allclose(palette.codebook, sent.codebook, rtol=0, atol=tolerance)
    assert_equal(found.band_scales, message.band_scales)
    # Without scales every band has a scale of 1.
    plain = encode(message._replace(band_scales=()), spec, held, update=True)
    assert plain == encode(
        message._replace(band_scales=tuple(64 + 0 * s for s in message.band_scales)), spec, held, update=True
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), SHAPES.filter(len), SHAPES, st.integers(1, 32))
def test_a_seed_expands_to_the_same_bits_at_both_ends(seed, kernels, others, clusters):
    spec = spec_of(kernels, others, 32, 1)
    payload = encode_seed(seed, clusters, np.array([0.5]), spec)
    assert len(payload) == 12 + 4 + 4 + 4
    assert graph_codec.encode_seed(seed, clusters, tf.constant([0.5]), spec).numpy().tobytes() == payload
    decoded = decode(payload, spec)
    in_graph, sound = graph_codec.decode(bytes_tensor(payload), spec)
    assert bool(sound)
    assert_equal(in_graph, decoded)
    weights = graph_codec.seed_model.initial_kernels(tf.constant(seed, tf.int64), spec)
    for weight, palette in zip(weights, decoded.message.palettes, strict=True):
        assert np.abs(weight.numpy()).max() < 0.1
        assert np.abs(weight.numpy() - dequantize(palette)).max() <= 0.1 / clusters * 1.0001


def test_expanded_weights_are_uniform_and_independent():
    from scipy import stats

    spec = spec_of([(64, 64), (64, 64)], [(5,), (32, 32)], 16)
    first, second = graph_codec.seed_model.initial_kernels(tf.constant(7, tf.int64), spec)
    for weights in (first, second):
        assert stats.kstest(weights.numpy().ravel() / 0.1, "uniform", (-1, 2)).pvalue > 1e-3
    assert abs(np.corrcoef(first.numpy().ravel(), second.numpy().ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(first.numpy().ravel()[1:], first.numpy().ravel()[:-1])[0, 1]) < 0.05
    others = decode(encode_seed(7, 16, np.zeros(0), spec), spec).message.others
    assert (others[0] == 1).all() and np.abs(others[1]).max() < 0.5 < 30 * others[1].std()
    other_seed = decode(encode_seed(8, 16, np.zeros(0), spec), spec).message
    assert (dequantize(other_seed.palettes[0]) != first.numpy()).mean() > 0.9


def golden():
    spec = spec_of([(2, 3)], [(2,)], 4, 1, relative_others=(False,))
    codebook = np.array([-1.0, 0.5, 2.0, UNUSED_CENTROID], np.float32)
    palette = Palette(codebook, np.array([[0, 1, 2], [2, 1, 0]], np.uint8))
    message = Message(np.int32(3), (palette,), (np.array([1.0, -2.0], np.float32),), np.array([0.25], np.float32))
    return spec, message


def test_golden_bytes_of_every_kind():
    """docs/wire-format.md explains these messages byte by byte."""
    spec, message = golden()
    assert encode_seed(5, 3, message.scalars, spec).hex() == GOLDEN["seed"]
    key = encode(message, spec)
    assert key.hex() == GOLDEN["key frame"]
    held = decode(key, spec).held
    indices = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)
    changed = message._replace(
        palettes=(message.palettes[0]._replace(indices=indices),), others=(np.array([1.5, -2.0], np.float32),)
    )
    delta = encode(changed, spec, held)
    assert delta.hex() == GOLDEN["difference"]
    name = b"\0\1\2\2\1\0" + bytes(6) + held.palettes[0].codebook.tobytes() + held.others[0].tobytes()
    assert delta[4:8] == zlib.adler32(name).to_bytes(4, "little")
    later = dataclasses.replace(spec, kinds=(*spec.kinds, Kind.CATCH_UP), remembers_moves=False)
    assert encode(changed, later, held, catch_up=True).hex() == GOLDEN["catch-up"]
    palette = Palette(np.array([-0.5, 0, 0.25], np.float32), indices)
    scales = (np.array([80], np.uint8),)
    update = Message(np.int32(3), (palette,), changed.others, message.scalars, scales)
    assert encode(update, update_spec(spec, 3), held, update=True).hex() == GOLDEN["update"]


GOLDEN = {
    "seed": ("4643030300000000030002000000803e050000005801700f"),
    "key frame": (
        "4643030000000000030002000000803e0000000080bf0000003f000000400000803f000000c000f05800fe00feaf4c0800a7"
        "6408003047030030470300db0a9210"
    ),
    "difference": ("4643030193048535030002000000803ef9fc00e08300feed65f14407000e700100ba1c130082690200db0b4df5"),
    "catch-up": (
        "4643030493048535030002000000803e0000000080bf0000003f000000400000c03f000000c000e08300fe00fef14407000e"
        "700100b1320100b1320100040d1366"
    ),
    "update": ("4643030293048535030002000000803ef9fcc000205000104700feed65e50b060012d0450141ca03004fe40100cf0c0f14"),
}


def test_whoever_follows_differences_and_whoever_gets_a_key_frame_hold_the_same():
    spec = spec_of([(3, 3, 4, 4)], [(4,), (4,)], 16, remembers_moves=False)
    held = decode(encode_seed(1, 8, np.zeros(0), spec), spec).held
    for seed in range(4):
        message = random_message(seed, spec, 8 + seed, held, 0.3)
        _, decoded = both_ways(message, spec, held)
        from_key_frame = decode(encode(decoded.message, spec), spec)
        assert_equal(from_key_frame.held, decoded.held)
        held = decoded.held


def test_a_message_without_clustered_kernels_holds_float32():
    spec = spec_of([], [(7, 3), (5,)], 1, 2)
    message = random_message(0, spec, 0)
    payload, _ = both_ways(message, spec, None)
    assert len(payload) == float32_message_bytes(26, 2) == 12 + 4 * 28 + 4
    assert payload[12:-4] == np.concatenate([message.scalars, *(o.ravel() for o in message.others)]).tobytes()


def test_what_did_not_change_costs_a_table_and_the_coders_states():
    spec = spec_of([(3, 3, 32, 32)], [(64,)], 32)
    held = random_held(0, spec, 16)
    message = Message(held.num_clusters, held.palettes, held.others, np.zeros(0, np.float32))
    assert len(encode(message, spec, held)) == 12 + 2 + 1 + 2 * 3 + 4 * spec.lanes + 4


def moved_indices(rng, old, down, up):
    """Each index moves by one with a probability of its own: `down` and `up` are indexed by the old one."""
    draw = rng.random(old.shape)
    return old + np.where(draw < down[old], -1, np.where(draw > 1 - up[old], 1, 0))


def test_size_is_close_to_the_conditional_entropy():
    """Indices leave some centroids often and others never, most often back to where they came from."""
    rng = np.random.default_rng(0)
    shape, clusters = (3, 3, 128, 128), 16
    spec = spec_of([shape], [], 32)
    codebook = np.full(32, UNUSED_CENTROID, np.float32)
    codebook[:clusters] = np.linspace(-1, 1, clusters)
    old = rng.integers(1, clusters - 1, shape)
    down, up = np.linspace(0, 0.3, clusters), np.linspace(0.2, 0, clusters)
    moves = rng.choice(3, shape, p=[0.7, 0.2, 0.1]).astype(np.uint8)
    new = np.where(moves == 1, moved_indices(rng, old, 3 * down, 0 * up), moved_indices(rng, old, down, up))
    held = ReferenceModel(np.int32(clusters), (Palette(codebook, old.astype(np.uint8)),), (moves,), ())
    message = Message(np.int32(clusters), (Palette(codebook, new.astype(np.uint8)),), (), np.zeros(0, np.float32))

    def entropy_bytes(contexts):
        counts = np.zeros((contexts.max() + 1, clusters))
        np.add.at(counts, (contexts.ravel(), new.ravel()), 1)
        shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
        return -(counts * np.log2(shares, where=shares > 0, out=np.zeros_like(shares))).sum() / 8

    payload = encode(message, spec, held)
    assert len(payload) < 1.02 * entropy_bytes(old * 3 + moves) + 4 * spec.lanes + 2 * 48 + 40
    assert len(payload) < 0.97 * entropy_bytes(old), "the last move tells something"
    assert len(encode(message, spec, held._replace(moves=(np.zeros_like(moves),)))) > len(payload)
    key_frame = encode(message, spec)
    # The flat shape has a few symbols more than the 14 indices in use.
    assert len(key_frame) < 1.08 * entropy_bytes(0 * old) + 4 * spec.lanes + 4 * clusters + 40


def test_the_specifications_survive_json():
    spec = spec_of([(2, 3)], [(2,), (3, 3)], 7, 4)
    written = to_json(spec, update_spec(spec, 5))
    assert from_json(written) == (spec, update_spec(spec, 5))
    by_an_older_version = written.replace("reference_clusters", "held_clusters")
    assert from_json(by_an_older_version) == (spec, update_spec(spec, 5)) and by_an_older_version != written
    with pytest.raises(ValueError, match="not the specifications of messages"):
        from_json('{"downlink": {}}')


@given(st.binary(max_size=300))
def test_the_graphs_checksum_is_adler32(data):
    assert int(graph_codec.adler32(bytes_tensor(data))) == zlib.adler32(data)


def test_dequantize_looks_up_the_codebook():
    palette = Palette(np.array([0.5, -1.0], np.float32), np.array([[0, 1], [1, 1]], np.uint8))
    np.testing.assert_array_equal(dequantize(palette), [[0.5, -1.0], [-1.0, -1.0]])
    np.testing.assert_array_equal(graph_codec.dequantize(palette), dequantize(palette))


def test_relative_precision_keeps_small_variances():
    spec = spec_of([(4, 4)], [(3,)], 4, relative_others=(True,), other_bits=5)
    held = random_held(0, spec, 4)._replace(others=(np.array([1e-3, 0.1, 30.0], np.float32),))
    wanted = np.array([1.3e-3, 0.08, 33.0], np.float32)
    message = random_message(1, spec, 4, held)._replace(others=(wanted,))
    found = decode(encode(message, spec, held), spec, held).message.others[0]
    np.testing.assert_allclose(found, wanted, rtol=0.04)
    assert (found > 0).all()
    jumps = message._replace(others=(np.array([0.0, 3.0, 31.0], np.float32),))
    np.testing.assert_allclose(decode(encode(jumps, spec, held), spec, held).message.others[0][1:], [3, 31], rtol=0.04)
    assert 0 < decode(encode(jumps, spec, held), spec, held).message.others[0][0] < 3e-4
    flat = dataclasses.replace(spec, relative_others=(False,))
    found = decode(encode(message, flat, held), flat, held).message.others[0]
    assert abs(found[0] - wanted[0]) > 0.04 * wanted[0]
    assert encode(message, spec, held)[3] == Kind.DELTA


def test_a_windows_frequencies_have_tables_of_their_own():
    """High frequencies are zero, low ones vary: telling them apart must pay."""
    spec = update_spec(spec_of([(3, 3, 40, 40)], [], 16), 9)
    held = random_held(0, spec_of([(3, 3, 40, 40)], [], 16), 16)
    rng = np.random.default_rng(0)
    indices = np.full((3, 3, 40, 40), 4, np.uint8)
    indices[0] += rng.integers(0, 3, indices[0].shape).astype(np.uint8)
    codebook = np.linspace(-1, 1, 9).astype(np.float32)
    message = Message(np.int32(9), (Palette(codebook, indices),), (), np.zeros(0, np.float32))
    apart = len(encode(message, spec, held, update=True))
    mixed = rng.permutation(indices.ravel()).reshape(indices.shape)
    together = len(encode(message._replace(palettes=(Palette(codebook, mixed),)), spec, held, update=True))
    lowest = 4800 * np.log2(3) / 8
    assert lowest < apart < lowest * 1.2 + 120 < together


def test_what_is_no_scale_of_a_band_is_refused():
    spec = update_spec(spec_of([(3, 3, 2, 2)], [], 16), 9)
    held = random_held(0, spec_of([(3, 3, 2, 2)], [], 16), 16)
    message = random_update(0, spec, held)
    for scales, what in (
        ((np.zeros(8, np.uint8),), r"numbers of bands \(9,\), found shapes \(\(8,\),\)"),
        ((np.full(9, 256),), "between 0 and 255"),
    ):
        with pytest.raises(ValueError, match=what):
            encode(message._replace(band_scales=scales), spec, held, update=True)
    with pytest.raises(ValueError, match="band_scales are for updates"):
        key = spec_of([(3, 3, 2, 2)], [], 16)
        encode(random_message(0, key, 4)._replace(band_scales=message.band_scales), key)


@pytest.mark.parametrize("start", [1.0, 1.9])
@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize(("variance", "first"), [(0.5, 0.1), (0.01, 0.02), (0.001, 0.15)])
def test_variances_that_all_shrink_arrive_at_once(start, bits, variance, first):
    """A first convolution's variances leave their start of 1 in the first round, for a hundredth or less."""
    spec = spec_of([(4, 4)], [(8,)], 4, relative_others=(True,), other_bits=bits)
    wanted = (variance * np.linspace(0.4, 1.4, 8)).astype(np.float32)
    held = random_held(0, spec, 4)._replace(others=(np.full(8, start, np.float32),))
    for tolerance in (first, 0.01):
        message = random_message(1, spec, 4, held)._replace(others=(wanted,))
        _, decoded = both_ways(message, spec, held)
        np.testing.assert_allclose(decoded.message.others[0], wanted, rtol=tolerance)
        held = held._replace(others=decoded.message.others)
