"""Random messages of small models, for the tests of the codec."""

import dataclasses
import zlib

import numpy as np
import tensorflow as tf

from tfc.codec.message_spec import InitialValue, Kind, Message, MessageSpec, ReferenceModel
from tfc.codec.palette import UNUSED_CENTROID, Palette

ALL_KINDS = (Kind.KEY_FRAME, Kind.DELTA, Kind.SEED)


def spec_of(kernel_shapes, other_shapes, max_clusters, num_scalars=0, **changes):
    spec = MessageSpec(
        tuple(kernel_shapes),
        tuple(other_shapes),
        max_clusters,
        num_scalars,
        ALL_KINDS,
        initial_kernels=tuple(InitialValue(limit=0.1, tensor=number) for number in range(len(kernel_shapes))),
        initial_others=tuple(
            InitialValue(1.0, 0.5 if len(shape) > 1 else 0.0, 100 + number) for number, shape in enumerate(other_shapes)
        ),
        relative_others=tuple(number % 2 == 1 for number in range(len(other_shapes))),
    )
    return dataclasses.replace(spec, **changes)


def update_spec(spec, levels):
    return dataclasses.replace(spec, max_clusters=levels, kinds=(Kind.UPDATE,), reference_clusters=spec.max_clusters)


def _codebook(rng, num_clusters, max_clusters):
    codebook = np.full(max_clusters, UNUSED_CENTROID, np.float32)
    codebook[:num_clusters] = rng.normal(size=num_clusters) * 10.0 ** rng.integers(-3, 3)
    return codebook


def _others(rng, spec):
    values = [rng.normal(size=shape) * 10.0 ** rng.integers(-9, 9) for shape in spec.other_shapes]
    return _with_variances([np.asarray(value, np.float32) for value in values], spec)


def _with_variances(others, spec):
    pairs = zip(others, spec.is_relative, strict=True)
    return tuple(np.abs(other) if relative else other for other, relative in pairs)


def random_held(seed, spec, num_clusters):
    rng = np.random.default_rng(seed)
    clusters = spec.ranks
    palettes, moves = [], []
    for shape in spec.kernel_shapes:
        indices = rng.integers(0, num_clusters, shape).astype(np.uint8)
        palettes.append(Palette(_codebook(rng, num_clusters, clusters), indices))
        moves.append(rng.choice(3, shape, p=[0.8, 0.1, 0.1]).astype(np.uint8))
    return ReferenceModel(np.int32(num_clusters), tuple(palettes), tuple(moves), _others(rng, spec))


def random_message(seed, spec, num_clusters, held=None, change=1.0):
    rng = np.random.default_rng(seed)
    palettes = []
    for number, shape in enumerate(spec.kernel_shapes):
        indices = rng.integers(0, num_clusters, shape)
        if held is not None:
            indices = np.where(rng.random(shape) < change, indices, held.palettes[number].indices)
        indices = np.minimum(indices, num_clusters - 1).astype(np.uint8)
        palettes.append(Palette(_codebook(rng, num_clusters, spec.max_clusters), indices))
    others = _others(rng, spec)
    if held is not None:
        others = tuple(
            (before + 0.01 * value).astype(np.float32) for before, value in zip(held.others, others, strict=True)
        )
    scalars = rng.normal(size=spec.num_scalars).astype(np.float32)
    return Message(np.int32(num_clusters if spec.kernel_shapes else 0), tuple(palettes), others, scalars)


def random_update(seed, spec, held):
    rng = np.random.default_rng(seed)
    levels = spec.max_clusters
    palettes = []
    for shape in spec.kernel_shapes:
        codebook = np.sort(rng.normal(size=levels)).astype(np.float32) * np.float32(0.01)
        codebook[levels // 2] = 0
        indices = np.clip(np.rint(rng.normal(size=shape) + levels // 2), 0, levels - 1).astype(np.uint8)
        palettes.append(Palette(codebook, indices))
    changed = [(before + rng.normal(size=before.shape) * 0.1).astype(np.float32) for before in held.others]
    others = _with_variances(changed, spec)
    scalars = rng.normal(size=spec.num_scalars).astype(np.float32)
    scales = tuple(rng.integers(0, 256, count).astype(np.uint8) for count in spec.bands)
    return Message(np.int32(levels), tuple(palettes), others, scalars, scales)


def tensors(structure):
    return None if structure is None else tf.nest.map_structure(tf.constant, structure)


def bytes_tensor(payload):
    return tf.constant(np.frombuffer(payload, np.uint8))


def assert_equal(left, right):
    tf.nest.map_structure(np.testing.assert_array_equal, tf.nest.flatten(left), tf.nest.flatten(right))


def with_checksum(body):
    return bytes(body) + zlib.adler32(bytes(body)).to_bytes(4, "little")


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
