"""What surrounds a coded update: header, scalars, checksum; and the two other forms of a model, float32 and a seed.

Layout, little endian: magic `46 55` ("FU"), version (1 byte), kind (1 byte), Adler-32 of the held model as float32
where the kind is an update, else 0 (4 bytes); scalars, float32; then by kind

- weights: every value, float32;
- seed: 4 bytes, from which both ends expand the first model (`tfc.codec.seed_model`);
- update: the small values, then what the codec wrote;

and the Adler-32 of all bytes before. The decoder is total, like that of `tfc.graph_codec`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfc.codec.message_spec import TRAILER_BYTES, MessageSpec, ReferenceModel
from tfc.graph_codec import seed_model
from tfc.graph_codec.checksum import adler32, bytes_of, flat, reference_checksum
from tfc.graph_codec.payload_reader import floats, integers
from tfc.update_codecs.protocol import UpdateCodec

MAGIC, FORMAT_VERSION, HEADER_BYTES = b"FU", 1, 8


class Form(enum.IntEnum):
    """How a message tells a model."""

    WEIGHTS = 0
    """Every value as float32."""
    SEED = 1
    """A number from which both ends compute the same initial model."""
    UPDATE = 2
    """A coded change of the model that the receiver holds."""


@dataclass(frozen=True)
class UpdateMessage:
    """One direction's messages: what both ends know of them beforehand.

    Attributes:
        model: Shapes and starts of all weights; it has no clustered kernels.
        coded: Numbers of the tensors that the codec takes; the others are small values.
        codec: How their changes are coded; None where only float32 weights are sent.
        small: How the others travel in an update: a value of `SMALL_VALUES`, built for them.
        num_scalars: Number of float32 values beside the model.
        forms: The forms that may come.
    """

    model: MessageSpec
    coded: tuple[int, ...]
    codec: UpdateCodec | None
    small: Any
    num_scalars: int
    forms: tuple[Form, ...]

    @property
    def most_bytes(self) -> int:
        """No sound message is longer."""
        body = 4 * sum(self.model.other_sizes)
        if self.codec is not None:
            body = max(body, self.small.num_bytes + self.codec.most_bytes)
        return HEADER_BYTES + 4 * self.num_scalars + body + TRAILER_BYTES

    def divide(self, values: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what the codec takes and what it leaves, one float32 vector each.

        Args:
            values: One float32 tensor per weight.
        """
        rest = [tensor for number, tensor in enumerate(values) if number not in self.coded]
        return flat([values[number] for number in self.coded], tf.float32), flat(rest, tf.float32)

    def join(self, coded: tf.Tensor, rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Inverse of `divide`.

        Args:
            coded: float32 vector.
            rest: float32 vector.
        """
        sizes, shapes = self.model.other_sizes, self.model.other_shapes
        places = range(len(sizes))
        left = [number for number in places if number not in self.coded]
        parts = dict(zip(self.coded, tf.split(coded, [sizes[number] for number in self.coded]), strict=True))
        if left:  # a model may have no side parameters
            parts.update(zip(left, tf.split(rest, [sizes[number] for number in left]), strict=True))
        return tuple(tf.reshape(parts[number], shapes[number]) for number in places)

    def _surrounded(self, form: Form, name: tf.Tensor, scalars: tf.Tensor, body: list[tf.Tensor]) -> tf.Tensor:
        header = [tf.constant([*MAGIC, FORMAT_VERSION, form], tf.uint8), bytes_of(name)[:4], bytes_of(scalars)]
        payload = tf.concat([*header, *body], axis=0)
        return tf.concat([payload, bytes_of(adler32(payload))[:TRAILER_BYTES]], axis=0)

    def encode_weights(self, values: tuple[tf.Tensor, ...], scalars: tf.Tensor) -> tf.Tensor:
        """Encodes a model as float32, uint8 (bytes,).

        Args:
            values: One float32 tensor per weight.
            scalars: float32 (num_scalars,).
        """
        return self._surrounded(Form.WEIGHTS, tf.constant(0, tf.int64), scalars, [bytes_of(flat(values, tf.float32))])

    def encode_seed(self, seed: int, scalars: tf.Tensor) -> tf.Tensor:
        """Encodes the initial model as its seed, uint8 (bytes,).

        Args:
            seed: Below 2^32.
            scalars: float32 (num_scalars,).
        """
        body = [bytes_of(tf.constant(seed, tf.int64))[:4]]
        return self._surrounded(Form.SEED, tf.constant(0, tf.int64), scalars, body)

    def encode_update(
        self, changes: tf.Tensor, rest: tf.Tensor, scalars: tf.Tensor, held: ReferenceModel, seed: tf.Tensor
    ) -> tf.Tensor:
        """Encodes a change of the model that the receiver holds, uint8 (bytes,).

        Args:
            changes: float32 vector, changes of what the codec takes.
            rest: float32 vector, the small values themselves.
            scalars: float32 (num_scalars,).
            held: What the receiver holds.
            seed: int64 scalar below 2^32, of whatever is random in the codec.
        """
        assert self.codec is not None
        body = [self.small.encode(rest, self.divide(held.others)[1]), self.codec.encode(changes, seed)]
        return self._surrounded(Form.UPDATE, reference_checksum(held), scalars, body)

    def decode(self, payload: tf.Tensor, held: ReferenceModel) -> tuple[tuple[tf.Tensor, ...], tf.Tensor, tf.Tensor]:
        """Decodes a message.

        Args:
            payload: uint8 (bytes,), whatever it holds.
            held: What this end holds.

        Returns:
            One float32 tensor per weight, the scalars, and a bool scalar: whether the payload is a sound message for
            what is held. Where it is not, the values mean nothing.
        """
        payload = payload[: self.most_bytes + 1]  # what is longer is refused by its length alone
        length = tf.size(payload)
        padded = tf.concat([payload, tf.zeros([self.most_bytes + TRAILER_BYTES], tf.uint8)], axis=0)
        start = HEADER_BYTES + 4 * self.num_scalars
        end = tf.maximum(length - TRAILER_BYTES, 0)

        def piece(first: Any, count: int) -> tf.Tensor:
            return tf.ensure_shape(tf.slice(padded, [first], [count]), [count])

        header = piece(0, HEADER_BYTES)
        scalars = floats(piece(HEADER_BYTES, 4 * self.num_scalars))
        form = tf.cast(header[3], tf.int32)
        name = tf.where(tf.equal(form, int(Form.UPDATE)), reference_checksum(held), 0)
        values = flat(held.others, tf.float32)
        fits = tf.constant(False)
        for each in self.forms:
            found, sound = self._body(each, payload[:end][start:], piece, start, held)
            here = tf.equal(form, int(each))
            values, fits = tf.where(here, found, values), tf.where(here, sound, fits)
        sound = tf.reduce_all(
            [
                tf.reduce_all(tf.equal(header[:3], tf.constant([*MAGIC, FORMAT_VERSION], tf.uint8))),
                (length >= start + TRAILER_BYTES) & (length <= self.most_bytes),
                tf.equal(adler32(payload[:end]), integers(piece(end, TRAILER_BYTES), 4)[0]),
                tf.equal(integers(header[4:8], 4)[0], name),
                fits,
                tf.reduce_all(tf.math.is_finite(values)) & tf.reduce_all(tf.math.is_finite(scalars)),
            ]
        )
        tensors = zip(tf.split(values, self.model.other_sizes), self.model.other_shapes, strict=True)
        return tuple(tf.reshape(part, shape) for part, shape in tensors), scalars, sound

    def _body(
        self, form: Form, body: tf.Tensor, piece: Any, start: int, held: ReferenceModel
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns all values as one float32 vector, and whether the body's length and content are possible."""
        if form == Form.WEIGHTS:
            count = 4 * sum(self.model.other_sizes)
            return floats(piece(start, count)), tf.equal(tf.size(body), count)
        if form == Form.SEED:
            seed = integers(piece(start, 4), 4)[0]
            return flat(seed_model.initial_others(seed, self.model), tf.float32), tf.equal(tf.size(body), 4)
        assert self.codec is not None
        before, small = self.divide(held.others)
        rest = self.small.decode(piece(start, self.small.num_bytes), small)
        changes, sound = self.codec.decode(body[self.small.num_bytes :])
        return flat(self.join(before + changes, rest), tf.float32), sound & (tf.size(body) >= self.small.num_bytes)
