"""Augmentation against a plain NumPy version of each draw's outcome, and where it enters training."""

import numpy as np
import pytest
import tensorflow as tf

from tfc.data.augmentation import augmentation_of_steps, flip_crop_cutout
from tfc.federated.training_loop import run_steps
from tfc.registries import AUGMENTATIONS


def outcomes(image):
    """Every image that flip, crop and cutout can make of one, without the hole."""
    for flipped in (image, image[:, ::-1]):
        padded = np.pad(flipped, [(4, 4), (4, 4), (0, 0)])
        for row in range(9):
            for column in range(9):
                yield padded[row : row + image.shape[0], column : column + image.shape[1]]


def test_every_outcome_is_a_crop_with_one_hole_of_the_right_size():
    rng = np.random.default_rng(0)
    x = rng.random((64, 32, 32, 3), dtype=np.float32) + 0.5
    found = flip_crop_cutout(tf.constant(x), tf.constant([3, 4])).numpy()
    assert found.shape == x.shape
    chosen, heights = set(), []
    for image, after in zip(x, found, strict=True):
        matches = []
        for number, crop in enumerate(outcomes(image)):
            changed = (crop != after).any(axis=-1)
            rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
            if len(rows) <= 16 and len(columns) <= 16:
                matches.append(number)
                if changed.any():
                    hole = after[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                    assert (hole == 0).all()
                    heights.append(len(rows))
        assert len(matches) == 1
        chosen.add(matches[0])
    assert len(chosen) > 40 and min(chosen) < 81 <= max(chosen), "crops differ, some are mirrored, some are not"
    assert max(heights) == 16 and min(heights) < 16, "holes at the border are cut"


def test_draws_are_a_function_of_seed_round_client_and_step():
    x = tf.random.stateless_uniform([8, 16, 16, 1], [0, 1])
    first = augmentation_of_steps("flip-crop-cutout", 1, 2, 3)(x, tf.constant(4)).numpy()
    np.testing.assert_array_equal(first, augmentation_of_steps("flip-crop-cutout", 1, 2, 3)(x, 4))
    for seed, round_, client, step in ((0, 2, 3, 4), (1, 1, 3, 4), (1, 2, 4, 4), (1, 2, 3, 5)):
        other = augmentation_of_steps("flip-crop-cutout", seed, round_, client)(x, step).numpy()
        assert (first != other).any()
    np.testing.assert_array_equal(AUGMENTATIONS["none"](x, tf.constant([0, 0])), x)


def test_training_augments_every_step_by_its_number():
    seen = []
    x, y = tf.reshape(tf.range(6.0), [6, 1]), tf.zeros(6, tf.int32)
    weight = tf.Variable([0.0])

    def gradients(inputs, classes):
        seen.append(inputs.numpy()[:, 0].tolist())
        return [tf.zeros(1)]

    order = tf.constant([[0, 1], [2, 3], [4, 5]])
    tf.config.run_functions_eagerly(True)
    try:
        run_steps(order, x, y, [weight], gradients, 0.1, lambda x, step: x + 100.0 * tf.cast(step, tf.float32), 7)
    finally:
        tf.config.run_functions_eagerly(False)
    assert seen == [[700, 701], [802, 803], [904, 905]]


@pytest.mark.parametrize("size", [28, 32])
def test_shapes_stay_known_in_graphs(size):
    @tf.function(input_signature=[tf.TensorSpec([None, size, size, 3])])
    def change(x):
        result = flip_crop_cutout(x, tf.constant([0, 0]))
        assert result.shape[1:] == (size, size, 3)
        return result

    assert change(tf.ones([0, size, size, 3])).shape == (0, size, size, 3)
