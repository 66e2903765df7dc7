"""Clients whose data grow round by round."""

import numpy as np
import pytest

from tfc import config
from tfc.base.errors import ConfigError
from tfc.data.growth import examples_in_round, share_of_round
from tfc.data.partition import ClientExamples

EXAMPLES = ClientExamples(np.arange(50)[:, None], np.arange(50), np.arange(5)[:, None], np.arange(5))


def test_the_share_rises_by_equal_steps():
    shares = [share_of_round(number, 0.2, 5) for number in range(1, 8)]
    np.testing.assert_allclose(shares, [0.2, 0.4, 0.6, 0.8, 1, 1, 1])
    assert share_of_round(1, 1.0, 0) == 1


def test_clients_keep_what_they_have_and_their_validation_examples():
    rounds = [examples_in_round(EXAMPLES, number, 0.2, 5) for number in range(1, 7)]
    assert [len(each.y_train) for each in rounds] == [10, 20, 30, 40, 50, 50]
    for each in rounds:
        np.testing.assert_array_equal(each.y_train, np.arange(len(each.y_train)))
        np.testing.assert_array_equal(each.x_train[:, 0], each.y_train)
        assert each.y_validation is EXAMPLES.y_validation
    assert len(examples_in_round(EXAMPLES, 1, 1e-9, 5).y_train) == 1


def test_growth_needs_its_number_of_rounds():
    with pytest.raises(ConfigError, match=r"data\.growth_start = 0\.2 needs data\.growth_rounds of at least 2"):
        config.load("demo", ["data.growth_start=0.2"])
    assert config.load("demo", ["data.growth_start=0.2", "data.growth_rounds=30"]).data.growth_rounds == 30


@pytest.mark.parametrize("setting", ["data.image_size=32", "data.channels=3", "training.augmentation=flip-crop-cutout"])
def test_settings_of_images_are_refused_for_audio(setting):
    with pytest.raises(ConfigError, match=rf"{setting.split('=')[0]} = .* is for images; spoken_words is audio"):
        config.load("spoken-words-dscnn", [setting])
