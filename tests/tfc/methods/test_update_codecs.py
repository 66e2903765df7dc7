"""Coded forms of updates against independent NumPy computations, and what their decoders make of any bytes."""

import math
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfc.codec.message_spec import InitialValue, MessageSpec, ReferenceModel
from tfc.codec.seed_model import mixed
from tfc.methods.eden import Rotated, normal_levels
from tfc.methods.fedzip import SparseClusters
from tfc.methods.stc import SparseTernary, golomb_digits
from tfc.update_codecs import bits
from tfc.update_codecs.message import Form, UpdateMessage
from tfc.update_codecs.side_parameters import ByteSideParameters, Float32SideParameters

SIZES = (40, 700, 1260)
CODECS = {
    "ternary": SparseTernary(2000, 0.02),
    "ternary-dense": SparseTernary(300, 0.6),
    "clusters": SparseClusters(SIZES, 0.25),
    "one-bit": Rotated(5000, 1, True),
    "three-bit": Rotated(5000, 3, False),
    "five-bit-short": Rotated(5, 5, True),
}


def compiled(codec):
    encode = tf.function(codec.encode, input_signature=[tf.TensorSpec([codec.size]), tf.TensorSpec([], tf.int64)])
    return encode, tf.function(codec.decode, input_signature=[tf.TensorSpec([None], tf.uint8)])


@pytest.fixture(scope="module", autouse=True)
def functions():
    FUNCTIONS.update({name: compiled(codec) for name, codec in CODECS.items()})
    FUNCTIONS["message"] = tf.function(lambda data, model: message().decode(data, model))
    yield
    FUNCTIONS.clear()  # TensorFlow's functions do not survive the end of the interpreter


FUNCTIONS = {}


def vector(size, seed=0):
    return (np.random.default_rng(seed).standard_normal(size) * 0.01).astype(np.float32)


def round_trip(name, values, seed=7):
    encode, decode = FUNCTIONS[name]
    data = encode(values, tf.constant(seed, tf.int64))
    found, sound = decode(data)
    assert bool(sound) and len(data) <= CODECS[name].most_bytes
    return data.numpy(), found.numpy()


def test_bits_are_packed_from_the_lowest():
    digits = np.random.default_rng(0).integers(0, 2, 21)
    packed = bits.pack(tf.constant(digits, tf.int32), filler=1).numpy()
    np.testing.assert_array_equal(packed, np.packbits([*digits, 1, 1, 1], bitorder="little"))
    np.testing.assert_array_equal(bits.unpack(packed)[:21], digits)


@pytest.mark.parametrize("name", ["ternary", "ternary-dense"])
def test_ternary_values_are_the_largest_ones_with_their_mean_magnitude(name):
    codec, values = CODECS[name], vector(CODECS[name].size)
    data, found = round_trip(name, values)
    places = np.sort(np.argsort(-np.abs(values), kind="stable")[: codec.count])
    expected = np.zeros_like(values)
    expected[places] = np.sign(values[places]) * np.abs(values[places]).mean(dtype=np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    # The paper's Golomb code, gap by gap: unary quotient, a stop bit, b digits; and a sign.
    digits = golomb_digits(min(codec.share, 0.5))
    gaps = np.diff(places, prepend=-1) - 1
    length = sum(int(gap) // 2**digits + 1 + digits + 1 for gap in gaps)
    assert len(data) == 9 + math.ceil(length / 8)
    assert tuple(data[:4].view(np.uint32)) == (codec.count,) and data[8] == digits
    # A scalar reader of the layout finds the same positions.
    stream = np.unpackbits(data[9:], bitorder="little")
    fixed, unary = np.split(stream, [codec.count * (digits + 1)])
    quotients = np.diff(np.flatnonzero(unary == 0)[: codec.count], prepend=-1) - 1
    rows = fixed.reshape(codec.count, digits + 1)
    again = np.cumsum(quotients * 2**digits + rows[:, :digits] @ (1 << np.arange(digits)) + 1) - 1
    np.testing.assert_array_equal(again, places)
    np.testing.assert_array_equal(rows[:, digits], values[places] < 0)


def test_a_gap_takes_the_papers_number_of_bits():
    digits, share = golomb_digits(0.01), 0.01

    def mean_cost(width):
        """The paper's mean bits of a position: 2^width values share a quotient."""
        return width + 1 / (1 - (1 - share) ** (2**width))

    assert digits == 6 == min(range(12), key=mean_cost)
    expected = 1000 * (mean_cost(digits) + 1) / 8  # and a sign
    codec = SparseTernary(100_000, share)
    data = codec.encode(tf.constant(vector(100_000)), tf.constant(0, tf.int64))
    assert len(data) == pytest.approx(expected, rel=0.02)


def numpy_clusters(values, share):
    """Largest changes, then Lloyd's iterations from the same quantiles, one value at a time."""
    count = max(1, round(len(values) * share))
    chosen = np.argsort(-np.abs(values), kind="stable")[:count]
    survivors = values[chosen].astype(np.float64)
    centroids = np.sort(survivors)[[count * (2 * number + 1) // 6 for number in range(3)]]
    for _ in range(20):
        nearest = np.abs(survivors[:, None] - centroids).argmin(axis=1)
        centroids = np.array(
            [survivors[nearest == n].mean() if (nearest == n).any() else centroids[n] for n in range(3)]
        )
    nearest = np.abs(survivors[:, None] - centroids).argmin(axis=1)
    result = np.zeros(len(values))
    result[chosen] = centroids[nearest]
    return result, [count, *np.bincount(nearest, minlength=3)]


def test_clusters_are_k_means_of_each_tensors_largest_changes():
    values = np.concatenate([vector(size, size) * (1 + place) for place, size in enumerate(SIZES)])
    data, found = round_trip("clusters", values)
    bits_needed = 0.0
    for part, expected in zip(
        np.split(found, np.cumsum(SIZES)[:-1]), np.split(values, np.cumsum(SIZES)[:-1]), strict=True
    ):
        reference, counts = numpy_clusters(expected, 0.25)
        np.testing.assert_allclose(part, reference, rtol=1e-4, atol=1e-7)
        shares = np.array([len(part) - counts[0], *counts[1:]]) / len(part)
        bits_needed -= len(part) * (shares[shares > 0] * np.log2(shares[shares > 0])).sum()
    head = len(SIZES) * 3 * 6 + 4 * CODECS["clusters"].lanes
    assert len(data) == pytest.approx(head + bits_needed / 8, rel=0.03)


def numpy_rotation(values, seed):
    """Signs, then the Hadamard matrix itself, block by block."""
    length = 4096 if len(values) > 4096 else 1 << (len(values) - 1).bit_length()
    blocks = -(-len(values) // length)
    padded = np.zeros(blocks * length)
    padded[: len(values)] = values
    stream = mixed(np.array([(seed + 0x9E3779B9) % 2**32], np.uint32))
    signs = np.where(mixed(np.arange(len(padded), dtype=np.uint32) ^ stream) < 2**31, 1.0, -1.0)
    matrix = np.ones((1, 1))
    while len(matrix) < length:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    matrix /= math.sqrt(length)
    return (padded * signs).reshape(blocks, length) @ matrix, matrix, signs


@pytest.mark.parametrize("name", ["one-bit", "three-bit", "five-bit-short"])
def test_a_rotated_vector_is_quantised_as_the_papers_say(name):
    codec, values = CODECS[name], vector(CODECS[name].size)
    data, found = round_trip(name, values, seed=99)
    rotated, matrix, signs = numpy_rotation(values, 99)
    levels = np.array(normal_levels(codec.width))
    normal = rotated * math.sqrt(rotated.shape[1]) / np.linalg.norm(rotated, axis=1, keepdims=True)
    chosen = levels[np.abs(normal[..., None] - levels).argmin(axis=-1)]
    products = (rotated * chosen).sum(axis=1)
    scale = (rotated**2).sum(axis=1) / products if codec.unbiased else products / (chosen**2).sum(axis=1)
    expected = ((chosen * scale[:, None]) @ matrix).ravel() * signs
    np.testing.assert_allclose(found, expected[: len(values)], atol=1e-6)
    assert len(data) == 4 + 4 * len(rotated) + rotated.size * codec.width // 8
    assert data[:4].view(np.uint32) == 99


def test_levels_are_lloyd_max():
    # Max (1960), table I.
    assert normal_levels(1) == pytest.approx((-0.7979, 0.7979), abs=1e-4)
    assert normal_levels(2)[2:] == pytest.approx((0.4528, 1.5104), abs=1e-3)
    assert normal_levels(3)[4:] == pytest.approx((0.2451, 0.7560, 1.3439, 2.1520), abs=1e-3)


def test_one_bit_estimates_are_unbiased_and_their_error_is_drives():
    values = vector(CODECS["one-bit"].size)
    estimates = np.array([round_trip("one-bit", values, seed)[1] for seed in range(200)])
    squares = (values.astype(np.float64) ** 2).sum()
    # Each estimate's error is pi / 2 - 1 of the squared norm (DRIVE, theorem for large dimensions); independent
    # rotations average it away.
    errors = ((estimates - values) ** 2).sum(axis=1) / squares
    assert errors.mean() == pytest.approx(math.pi / 2 - 1, rel=0.05)
    assert ((estimates.mean(axis=0) - values) ** 2).sum() / squares == pytest.approx((math.pi / 2 - 1) / 200, rel=0.2)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_nothing_changed_decodes_to_nothing(name):
    _, found = round_trip(name, np.zeros(CODECS[name].size, np.float32))
    np.testing.assert_array_equal(found, 0)


def test_small_values_as_bytes_are_within_half_a_step_and_variances_stay_positive():
    rng = np.random.default_rng(0)
    form = ByteSideParameters((6, 5, 1), (False, True, False))
    held = np.concatenate([rng.normal(size=6), [1e-6, 0.1, 1, 1, 30], [2]]).astype(np.float32)
    values = np.concatenate([held[:6] + rng.normal(size=6), [1e-3, 0.05, 1, 40, 29], [2]]).astype(np.float32)
    data = form.encode(tf.constant(values), tf.constant(held)).numpy()
    assert len(data) == form.num_bytes == 4 * 3 + 12
    found = form.decode(tf.constant(data), tf.constant(held)).numpy()
    assert np.abs(found - values)[:6].max() <= np.abs(values - held)[:6].max() / 254 * 1.001
    logarithms = np.log(values[6:11] / held[6:11])
    # A step of the 8th root is a factor of about 1 + 8 steps at 1, and less beyond.
    step = (np.exp(np.abs(logarithms).max() / 8) - 1) / 127
    assert np.abs(np.log(found[6:11] / values[6:11])).max() <= 8 * step / 2 * 1.01
    assert found[8] == held[8] and found[11] == 2, "what did not change is held bit for bit"
    exact = Float32SideParameters((6, 5, 1), (False, True, False))
    np.testing.assert_array_equal(exact.decode(exact.encode(tf.constant(values), None), None), values)


SHAPES = ((3, 40), (40,), (7,))
MODEL = MessageSpec((), SHAPES, 1, initial_others=(InitialValue(limit=0.5), InitialValue(1.0), InitialValue(0.0)))


def message(small="bytes", codec=None):
    forms = tuple(Form)
    kept = {"bytes": ByteSideParameters, "floats": Float32SideParameters}[small]((7,), (True,))
    return UpdateMessage(MODEL, (0, 1), codec or SparseTernary(160, 0.1), kept, 2, forms)


def held(seed=1):
    rng = np.random.default_rng(seed)
    return ReferenceModel(tf.constant(0), (), (), tuple(tf.constant(rng.random(s), tf.float32) for s in SHAPES))


@pytest.mark.parametrize("small", ["bytes", "floats"])
def test_messages_tell_a_model_in_three_forms(small):
    form, model, target = message(small), held(), held(2).others
    scalars = tf.constant([3.0, 0.5])
    whole = form.encode_weights(target, scalars)
    values, told, sound = form.decode(whole, model)
    assert sound and len(whole) == 8 + 8 + 4 * 167 + 4
    np.testing.assert_array_equal(told, scalars)
    for found, expected in zip(values, target, strict=True):
        np.testing.assert_array_equal(found, expected)
    start, _, sound = form.decode(form.encode_seed(5, scalars), model)
    assert sound and len(np.unique(start[0])) > 100 and np.abs(start[0]).max() < 0.5
    np.testing.assert_array_equal(start[1], 1)

    before, _ = form.divide(model.others)
    after, rest = form.divide(target)
    update = form.encode_update(after - before, rest, scalars, model, tf.constant(1, tf.int64))
    assert zlib.adler32(update[:-4].numpy().tobytes()) == int(update[-4:].numpy().view(np.uint32)[0])
    values, _, sound = form.decode(update, model)
    changes, _ = form.codec.decode(form.codec.encode(after - before, tf.constant(1, tf.int64)))
    assert sound
    np.testing.assert_array_equal(form.divide(values)[0], before + changes)
    np.testing.assert_allclose(values[2], target[2], rtol=0.02)
    assert not form.decode(update, held(3))[2], "coded given another model"
    assert not form.decode(whole[:-1], model)[2] and not form.decode(tf.concat([update, [0]], 0), model)[2]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(CODECS)), st.data())
def test_decoders_are_total(name, data):
    codec = CODECS[name]
    encode, decode = FUNCTIONS[name]
    good = encode(vector(codec.size), tf.constant(3, tf.int64)).numpy()
    body = bytearray(good[: data.draw(st.integers(0, len(good)))])
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4)):
        if place < len(body):
            body[place] = value
    body += data.draw(st.binary(max_size=3))
    found, sound = decode(np.frombuffer(bytes(body), np.uint8))
    assert found.shape == (codec.size,)
    assert not sound or np.isfinite(found).all()
    if len(body) < len(good) - 8:
        assert not sound


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 255), st.integers(0, 60))
def test_messages_with_any_damage_are_refused(place, change, cut):
    form, model = message(), held()
    before, _ = form.divide(model.others)
    after, rest = form.divide(held(2).others)
    good = form.encode_update(after - before, rest, tf.zeros([2]), model, tf.constant(1, tf.int64)).numpy()
    damaged = good.copy()
    damaged[place % len(good)] ^= change
    assert not FUNCTIONS["message"](damaged, model)[2]
    assert not FUNCTIONS["message"](good[: len(good) - 1 - cut], model)[2]
