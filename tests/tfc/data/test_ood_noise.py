"""Noise to distil on: any shape, a function of the seed, and what `auto` picks for which inputs."""

import numpy as np
import pytest

from tfc.base.errors import DataError
from tfc.config import load
from tfc.data.in_memory import as_dataset
from tfc.data.ood_noise import procedural_noise, procedural_tokens
from tfc.simulation.experiment import build_ood

Y = np.arange(40) % 4
INPUTS = {
    "table": np.random.default_rng(0).random((40, 5)),
    "sequence": np.random.default_rng(0).random((40, 7, 3)),
    "tokens": np.random.default_rng(0).integers(0, 30, (40, 9)),
    "image": np.random.default_rng(0).random((40, 8, 8)),
}


def batches(build):
    return np.concatenate([batch.numpy() for batch in build()])


def experiment(kind, *settings):
    return load("demo", [f"data.kind={kind}", "server.ood_examples=230", "server.batch_size=50", *settings])


def dataset_of(kind):
    return as_dataset((INPUTS[kind], Y, INPUTS[kind], Y), config=experiment(kind).data)


@pytest.mark.parametrize("shape", [(5,), (7, 3), (2, 3, 4, 5)])
def test_noise_is_standard_normal_and_a_function_of_the_seed(shape):
    found = batches(procedural_noise(230, 50, shape, seed=1))
    assert found.shape == (230, *shape) and found.dtype == np.float32
    assert abs(found.mean()) < 0.1 and abs(found.std() - 1) < 0.1
    np.testing.assert_array_equal(found, batches(procedural_noise(230, 50, shape, seed=1)))
    assert (found != batches(procedural_noise(230, 50, shape, seed=2))).mean() > 0.99
    assert len(np.unique(found.reshape(230, -1), axis=0)) == 230


def test_tokens_are_whole_numbers_of_the_whole_range():
    found = batches(procedural_tokens(230, 50, (9,), 1, num_tokens=30))
    assert found.shape == (230, 9) and set(np.unique(found)) == set(range(30))


@pytest.mark.parametrize("kind", sorted(INPUTS))
def test_auto_makes_inputs_of_the_kind_of_the_data(kind):
    dataset = dataset_of(kind)
    found = batches(build_ood(experiment(kind), dataset.input_shape, dataset))
    assert found.shape == (230, *dataset.input_shape)
    assert (found.min() >= 0) == (kind in ("image", "tokens"))
    if kind == "tokens":
        assert found.max() == dataset.x_train.max()


@pytest.mark.parametrize(
    "kind,settings,message",
    [
        (
            "table",
            ["server.ood=images"],
            r"server\.ood=images makes images .*; the model takes 5: set server\.ood=noise",
        ),
        ("table", ["server.ood=audio"], r"server\.ood=audio makes log-mel features"),
        ("tokens", ["server.ood=images"], "server.ood = 'images' can't make tokens: leave it at auto"),
        ("sequence", ["server.ood_dir=/tmp"], r"server\.ood_dir=/tmp is for images and audio: noise is drawn"),
    ],
)
def test_inputs_of_another_kind_are_refused(kind, settings, message):
    dataset = dataset_of(kind)
    with pytest.raises(DataError, match=message):
        build_ood(experiment(kind, *settings), dataset.input_shape, dataset)
