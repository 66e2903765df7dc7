"""Out-of-distribution images for server-side distillation: drawn, or from a folder."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from tfc.base.errors import DataError
from tfc.data.ood_pipeline import OodFn, drawn_inputs
from tfc.data.pixels import to_float
from tfc.seeds import Purpose, stateless

_LEAVES = 40
_BATCH_OF_GENERATOR = 100


@tf.autograph.experimental.do_not_convert
def dead_leaves(batch: int, input_shape: tuple[int, ...], seed: tf.Tensor) -> tf.Tensor:
    """Draws images of overlapping opaque shapes, whose edges, occlusions and scales resemble those of natural images.

    Source: Lee, Mumford, Huang, "Occlusion Models for Natural Images: A Statistical Study of a Scale-Invariant Dead
    Leaves Model" (IJCV 41, 2001); used for training networks by Baradad et al., "Learning to See by Looking at Noise"
    (arXiv 2106.05963). Leaves are discs and rotated rectangles with sizes from a power law, a colour, a linear shading
    and a grating.

    Args:
        batch: Number of images.
        input_shape: Height, width (pixels), channels.
        seed: int32, shape (2,); equal seeds give equal images.

    Returns:
        float32 tensor (batch, height, width, channels) in [0, 1].
    """
    height, width, channels = input_shape

    def uniform(purpose: int, shape: list[int], low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        return tf.random.stateless_uniform(
            shape, tf.random.experimental.stateless_fold_in(seed, purpose), minval=low, maxval=high
        )

    per_leaf = [batch, _LEAVES, 1, 1]
    rows = tf.linspace(0.0, 1.0, height)[None, None, :, None] - uniform(0, per_leaf, -0.1, 1.1)
    columns = tf.linspace(0.0, 1.0, width)[None, None, None, :] - uniform(1, per_leaf, -0.1, 1.1)
    angle = uniform(2, per_leaf, 0.0, 3.1415927)
    along = columns * tf.cos(angle) + rows * tf.sin(angle)
    across = rows * tf.cos(angle) - columns * tf.sin(angle)
    # Density of the radius ~ r^-3 between 0.05 and 0.5 (shares of the image), by inversion.
    smallest, largest = 0.05**-2, 0.5**-2
    radius = tf.math.rsqrt(smallest + (largest - smallest) * uniform(3, per_leaf))
    flatness = uniform(4, per_leaf, 0.3, 1.0)
    disc = tf.square(along) + tf.square(across / flatness) < tf.square(radius)
    rectangle = (tf.abs(along) < radius) & (tf.abs(across) < radius * flatness)
    covered = tf.where(uniform(5, per_leaf) < 0.5, disc, rectangle)
    # The last leaf is the ground: it covers all that no other one does. A maximum is found faster than its place.
    above = tf.cast(tf.range(_LEAVES, 0, -1), tf.uint8)[None, :, None, None]
    highest = tf.reduce_max(tf.cast(covered, tf.uint8) * above, axis=1)
    topmost = tf.minimum(_LEAVES - tf.cast(highest, tf.int32), _LEAVES - 1)

    pixels = tf.reshape(tf.range(height * width), [height, width])
    of_topmost = (tf.range(batch)[:, None, None] * _LEAVES + topmost) * (height * width) + pixels
    along, across = (tf.gather(tf.reshape(place, [-1]), of_topmost) for place in (along, across))
    limits = ((6, 0.0, 60.0), (7, 0.0, 0.25), (8, -0.6, 0.6))
    texture = tf.concat([uniform(purpose, [batch, _LEAVES, 1], low, high) for purpose, low, high in limits], axis=-1)
    frequency, amplitude, slope = tf.unstack(tf.gather(texture, topmost, batch_dims=1), axis=-1)
    shading = slope * across + amplitude * tf.sin(frequency * along)
    colour = tf.gather(uniform(9, [batch, _LEAVES, channels]), topmost, batch_dims=1)
    return tf.clip_by_value(colour + shading[..., None], 0.0, 1.0)


def _check_shape(input_shape: tuple[int, ...]) -> None:
    if len(input_shape) != 3:
        found = "x".join(map(str, input_shape))
        raise DataError(
            f"server.ood=images makes images of shape (height, width, channels); the model takes {found}: set "
            "server.ood=noise"
        )


def procedural_images(num_examples: int, batch_size: int, input_shape: tuple[int, ...], seed: int) -> OodFn:
    """Returns a pipeline of dead-leaves images that needs no files.

    Args:
        num_examples: Images per epoch; the same ones in every epoch.
        batch_size: Images per batch; the last batch may be smaller.
        input_shape: Height, width (pixels), channels.
        seed: Seed of the run.

    Raises:
        DataError: If the input is no image.

    Examples:
        >>> import tfc
        >>> ood_fn = tfc.procedural_images(num_examples=10, batch_size=4, input_shape=(28, 28, 1), seed=0)
        >>> [len(batch) for batch in ood_fn()]
        [4, 4, 2]
    """
    _check_shape(input_shape)

    def draw(number: tf.Tensor) -> tf.Tensor:
        return dead_leaves(_BATCH_OF_GENERATOR, input_shape, stateless(seed, Purpose.OOD, number))

    return drawn_inputs(draw, _BATCH_OF_GENERATOR, num_examples, batch_size)


def image_folder(folder: Path, num_examples: int, batch_size: int, input_shape: tuple[int, ...]) -> OodFn:
    """Returns a pipeline of the images in a folder (PNG, JPEG, GIF, BMP; subfolders included), resized to the input.

    Args:
        folder: Where the images are.
        num_examples: At most so many images, in the order of their names.
        batch_size: Images per batch; the last batch may be smaller.
        input_shape: Height, width (pixels), channels (1 or 3).

    Raises:
        DataError: If the folder holds no image or a damaged one, or the channels are neither 1 nor 3.
    """
    _check_shape(input_shape)
    suffixes = {".png", ".jpg", ".jpeg", ".gif", ".bmp"}
    if not folder.is_dir():
        raise DataError(f"server.ood_dir={folder} is no folder")
    files = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in suffixes)[:num_examples]
    if not files:
        raise DataError(f"server.ood_dir={folder} holds no image ({', '.join(sorted(suffixes))})")
    for name in files:
        try:  # now, not hours later inside the first distillation
            tf.io.decode_image(tf.io.read_file(name))
        except tf.errors.OpError as error:
            raise DataError(f"{name}: not a readable image: {str(error).splitlines()[0]}") from error
    height, width, channels = input_shape
    if channels not in (1, 3):
        raise DataError(f"images from a folder have 1 or 3 channels, the model's input has {channels}")

    def read(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(tf.io.read_file(path), channels, expand_animations=False)
        image.set_shape([None, None, channels])
        return tf.ensure_shape(tf.image.resize(to_float(image), [height, width]), [height, width, channels])

    def build() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(files).map(read).batch(batch_size)

    return build
