"""Bytes that are no message: one class of error that says what and where, never a hang, never a crash."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from codec_examples import (
    assert_equal,
    bytes_tensor,
    mutations,
    random_held,
    random_message,
    random_update,
    spec_of,
    tensors,
    update_spec,
    with_checksum,
)

from tfc import graph_codec
from tfc.base.errors import CodecError
from tfc.codec.message import decode, encode, encode_seed
from tfc.codec.message_spec import Kind
from tfc.codec.payload_reader import reference_checksum


def one_kernel():
    spec = spec_of([(3, 3)], [(2,)], 16, 1)
    held = random_held(2, spec, 5)
    message = random_message(1, spec, 5, held, 0.3)
    return message, spec, held, encode(message, spec, held)


def changed(payload, position, *values):
    body = bytearray(payload[:-4])
    body[position : position + len(values)] = bytes(values)
    return with_checksum(body)


EXPONENTS, GROUPINGS = 16, 18


@pytest.mark.parametrize(
    "damage,message",
    [
        (lambda p: p[:3], "ends at byte 3, inside its header"),
        (lambda p: p[:13], "inside its checksum"),
        (lambda p: b"XX" + p[2:], "byte 0: 5858 is not the magic"),
        (lambda p: changed(p, 2, 9), "byte 2: format version 9, this program reads version 3"),
        (lambda p: p[:20] + bytes([p[20] ^ 1]) + p[21:], "the checksum does not match"),
        (lambda p: changed(p, 3, 7), "byte 3: kind 7 is not expected"),
        (lambda p: changed(p, 3, 2), "byte 3: kind 2 is not expected"),
        (lambda p: changed(p, 4, 1, 2, 3, 4), "byte 4: the message refers to model 04030201, held is"),
        (lambda p: changed(p, 8, 17, 0), "byte 8: 17 clusters, allowed are 1 to 16"),
        (lambda p: changed(p, 8, 0, 0), "byte 8: 0 clusters"),
        (lambda p: changed(p, 10, 6), r"byte 10: 2\^6 lanes, the model asks for 4"),
        (lambda p: changed(p, 11, 1), "byte 10"),
        (lambda p: changed(p, EXPONENTS, 101), "exponents of codebooks outside of -100 to 100"),
        (lambda p: changed(p, EXPONENTS + 1, 128), "exponents of parameters outside"),
        (lambda p: changed(p, GROUPINGS, 4), "from byte 18: grouping 4 of tables is not possible"),
        (lambda p: changed(p, GROUPINGS, 3), "ends at byte"),
        (lambda p: with_checksum(p[:30]), "ends at byte 30, inside its"),
        (lambda p: with_checksum(p[:-4] + b"\0"), "an odd number of bytes"),
        (lambda p: with_checksum(p[:-4] + b"\0\0"), "do not end as they should"),
    ],
)
def test_damaged_messages_are_refused_with_the_place(damage, message):
    _, spec, held, payload = one_kernel()
    broken = damage(payload)
    with pytest.raises(CodecError, match=message):
        decode(broken, spec, held)
    _, sound = graph_codec.decode(bytes_tensor(broken), spec, tensors(held))
    assert not bool(sound)


def test_a_difference_needs_what_it_is_coded_given():
    message, spec, held, payload = one_kernel()
    with pytest.raises(CodecError, match=f"refers to model {reference_checksum(held):08x}, this end holds none"):
        decode(payload, spec)
    assert not bool(graph_codec.decode(bytes_tensor(payload), spec)[1])
    for other in (
        random_held(3, spec, 5),
        held._replace(moves=tuple((move + 1) % 3 for move in held.moves)),
        held._replace(others=tuple(other + np.float32(1) for other in held.others)),
    ):
        with pytest.raises(CodecError, match="byte 4"):
            decode(payload, spec, other)
        assert not bool(graph_codec.decode(bytes_tensor(payload), spec, tensors(other))[1])
    # A key frame and a seed are understood by whoever holds something, too.
    assert_equal(decode(encode(message, spec), spec, held).message.palettes[0].indices, message.palettes[0].indices)
    seed = encode_seed(3, 5, np.zeros(1), spec)
    assert_equal(graph_codec.decode(bytes_tensor(seed), spec, tensors(held))[0], decode(seed, spec, held))


def test_messages_that_do_not_fit_are_refused():
    message, spec, held, _ = one_kernel()
    for change, what in [
        ({"num_clusters": 17}, "between 1 and 16"),
        ({"others": ()}, "message's shapes differ"),
        ({"num_clusters": 2}, "not below the number of clusters 2"),
    ]:
        with pytest.raises(CodecError, match=what):
            encode(message._replace(**change), spec)
    with pytest.raises(CodecError, match="held model's shapes differ"):
        encode(message, spec, held._replace(palettes=()))


def model_of_300_weights():
    spec = spec_of([(3, 3, 4, 6), (6, 10)], [(6,), (6,), (12,)], 16, 4)
    held = random_held(5, spec, 6)
    return spec, held, random_message(6, spec, 8, held, 0.2)


def messages_of_every_kind():
    spec, held, message = model_of_300_weights()
    updates = update_spec(spec, 9)
    update = encode(random_update(7, updates, held), updates, held, update=True)
    yield spec, held, encode(message, spec, held)
    yield spec, held, encode(message, spec)
    yield spec, held, encode_seed(1, 8, np.zeros(4), spec)
    yield updates, held, update
    later = dataclasses.replace(spec, kinds=(*spec.kinds, Kind.CATCH_UP), remembers_moves=False)
    yield later, held, encode(message, later, held, catch_up=True)


def test_hostile_bytes_end_in_a_message_or_in_one_kind_of_error():
    refused = 0
    for spec, held, payload in messages_of_every_kind():
        for broken in mutations(payload, 5_500, seed=7):
            try:
                found = decode(broken, spec, held).message
            except CodecError as error:
                assert "byte" in str(error)
                refused += 1
            else:
                assert all(palette.indices.max() < found.num_clusters for palette in found.palettes)
                assert all(np.isfinite(other).all() for other in found.others)
    assert refused > 18_000


def test_the_graph_decoder_agrees_on_hostile_bytes():
    verdicts = set()
    for spec, held, payload in messages_of_every_kind():
        memory = tensors(held)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.uint8)])
        def in_graph(payload, spec=spec, memory=memory):
            return graph_codec.decode(payload, spec, memory)

        for broken in [*mutations(payload, 200, 8), payload, b""]:
            (found, moves), sound = in_graph(bytes_tensor(broken))
            assert all(palette.indices.numpy().max() < 16 for palette in found.palettes)
            try:
                expected = decode(broken, spec, held)
                if broken[3] == Kind.CATCH_UP:
                    raise CodecError("no graph reads these")
            except CodecError:
                assert not bool(sound)
            else:
                assert bool(sound)
                assert_equal((found, moves), expected)
            verdicts.add(bool(sound))
    assert verdicts == {True, False}
