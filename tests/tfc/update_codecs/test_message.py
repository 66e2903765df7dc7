"""Messages around coded updates: three forms of a model, and damage."""

import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfc.codec.message_spec import InitialValue, MessageSpec, ReferenceModel
from tfc.methods.stc import SparseTernary
from tfc.update_codecs.message import Form, UpdateMessage
from tfc.update_codecs.side_parameters import ByteSideParameters, Float32SideParameters

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


@pytest.fixture(scope="module")
def decode():
    return tf.function(lambda data, model: message().decode(data, model))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 255), st.integers(0, 60))
def test_messages_with_any_damage_are_refused(decode, place, change, cut):
    form, model = message(), held()
    before, _ = form.divide(model.others)
    after, rest = form.divide(held(2).others)
    good = form.encode_update(after - before, rest, tf.zeros([2]), model, tf.constant(1, tf.int64)).numpy()
    damaged = good.copy()
    damaged[place % len(good)] ^= change
    assert not decode(damaged, model)[2]
    assert not decode(good[: len(good) - 1 - cut], model)[2]


@pytest.mark.parametrize("kept", [ByteSideParameters, Float32SideParameters])
def test_a_model_without_side_parameters_is_told_in_every_form(kept):
    model = MessageSpec((), SHAPES[:2], 1, initial_others=(InitialValue(limit=0.5), InitialValue(1.0)))
    form = UpdateMessage(model, (0, 1), SparseTernary(160, 0.1), kept((), ()), 0, tuple(Form))
    reference = ReferenceModel(tf.constant(0), (), (), held().others[:2])
    none = tf.zeros([0])
    for payload in (
        form.encode_weights(held(2).others[:2], none),
        form.encode_seed(5, none),
        form.encode_update(tf.ones([160]), none, none, reference, tf.constant(1, tf.int64)),
    ):
        values, _, sound = form.decode(payload, reference)
        assert sound and [value.shape for value in values] == list(SHAPES[:2])
