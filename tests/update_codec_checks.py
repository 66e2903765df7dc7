"""What every update codec is held to: it comes back, and its decoder ends with a verdict whatever the bytes are."""

import numpy as np
import tensorflow as tf
from hypothesis import strategies as st


def vector(size, seed=0):
    return (np.random.default_rng(seed).standard_normal(size) * 0.01).astype(np.float32)


class Compiled:
    """A codec whose functions are traced once."""

    def __init__(self, codec):
        self.codec = codec
        signature = [tf.TensorSpec([codec.size]), tf.TensorSpec([], tf.int64)]
        self.encode = tf.function(codec.encode, input_signature=signature)
        self.decode = tf.function(codec.decode, input_signature=[tf.TensorSpec([None], tf.uint8)])

    def round_trip(self, values, seed=7):
        """The bytes, and the vector that they stand for."""
        data = self.encode(values, tf.constant(seed, tf.int64))
        found, sound = self.decode(data)
        assert bool(sound) and len(data) <= self.codec.most_bytes
        return data.numpy(), found.numpy()

    def check_any_bytes(self, data):
        """Truncates, changes and extends a sound message as hypothesis likes."""
        good = self.encode(vector(self.codec.size), tf.constant(3, tf.int64)).numpy()
        body = bytearray(good[: data.draw(st.integers(0, len(good)))])
        for place, value in data.draw(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4)):
            if place < len(body):
                body[place] = value
        body += data.draw(st.binary(max_size=3))
        found, sound = self.decode(np.frombuffer(bytes(body), np.uint8))
        assert found.shape == (self.codec.size,)
        assert not sound or np.isfinite(found).all()
        if len(body) < len(good) - 8:
            assert not sound
