"""The loop over rounds: what it samples, and that names in configurations are names in registries."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfc import config, registries
from tfc.base.errors import DataError
from tfc.base.lazy_registry import LazyRegistry
from tfc.config import ExperimentConfig
from tfc.seeds import Purpose, generator, stateless
from tfc.simulation.experiment import build_ood
from tfc.simulation.round import sampled_clients

REGISTRIES = {name: value for name, value in vars(registries).items() if isinstance(value, LazyRegistry)}


@pytest.mark.parametrize("name", sorted(REGISTRIES))
def test_every_registered_name_leads_to_something(name):
    assert all(value is not None for value in REGISTRIES[name].values())
    with pytest.raises(KeyError):
        _ = REGISTRIES[name]["nothing"]


def test_audio_is_distilled_on_audio_and_images_on_images():
    sound, image = (config.from_dict({"data": {"dataset": name}}) for name in ("spoken_words", "mnist5k"))
    assert next(iter(build_ood(sound, (20, 40, 1))())).shape == (64, 20, 40, 1)
    assert next(iter(build_ood(image, (8, 8, 3))())).shape == (64, 8, 8, 3)
    wrong = config.from_dict({"data": {"dataset": "mnist5k"}, "server": {"ood": "audio"}})
    with pytest.raises(DataError, match=r"features of shape \(frames, 40, 1\); the model takes 28x28x1"):
        build_ood(wrong, (28, 28, 1))


def experiment(per_round, seed=0):
    data = dataclasses.replace(ExperimentConfig().data, num_clients=20)
    return dataclasses.replace(ExperimentConfig(), data=data, clients_per_round=per_round, seed=seed)


def test_sampling_is_a_function_of_seed_and_round():
    draws = [sampled_clients(experiment(5), number) for number in range(1, 40)]
    assert draws == [sampled_clients(experiment(5), number) for number in range(1, 40)]
    assert all(len(set(draw)) == 5 and draw == sorted(draw) for draw in draws)
    assert {client for draw in draws for client in draw} == set(range(20))
    assert draws != [sampled_clients(experiment(5, seed=1), number) for number in range(1, 40)]
    assert sampled_clients(experiment(0), 1) == list(range(20))


def test_streams_of_random_numbers_differ_by_every_key():
    keys = [
        (0, Purpose.SHUFFLE, 1, 2),
        (1, Purpose.SHUFFLE, 1, 2),
        (0, Purpose.CENTROIDS, 1, 2),
        (0, Purpose.SHUFFLE, 2, 1),
    ]
    seeds = [tuple(stateless(*key).numpy()) for key in keys]
    numbers = [generator(*key).integers(1 << 60) for key in keys]
    assert len(set(seeds)) == len(set(numbers)) == 4
    assert seeds[0] == tuple(stateless(0, Purpose.SHUFFLE, tf.constant(1), np.int64(2)).numpy())
