"""The spoken words at a tiny size, by the real espeak-ng."""

import collections

import numpy as np
import pytest
from programs import program

from tfc.base.errors import DataError
from tfc.config import DataConfig
from tfc.data import espeak, spoken_words
from tfc.data.log_mel import log_mel

pytestmark = pytest.mark.system


@pytest.fixture
def tiny(monkeypatch):
    program("espeak-ng", "espeak-ng")
    monkeypatch.setattr(spoken_words, "NUM_TRAIN", 60)
    monkeypatch.setattr(spoken_words, "NUM_TEST", 20)


def test_clips_are_a_function_of_the_seed_with_equal_shares_of_words(tiny):
    variants = ("f1", "m3", "belinda")
    part = spoken_words.generate(30, variants, 0, seed=4)
    assert part["clips"].shape == (30, 16000) and part["clips"].dtype == np.int16
    np.testing.assert_array_equal(np.bincount(part["labels"]), [3] * 10)
    assert collections.Counter(zip(part["labels"], part["owners"], strict=True)) == {
        (word, owner): 1 for word in range(10) for owner in range(3)
    }
    np.testing.assert_array_equal(part["clips"], spoken_words.generate(30, variants, 0, seed=4)["clips"])
    for other in (spoken_words.generate(30, variants, 0, seed=5), spoken_words.generate(30, variants, 1, seed=4)):
        assert not (part["clips"] == other["clips"]).all(axis=1).any()
    loudest = np.abs(part["clips"].astype(int)).max(axis=1)
    assert loudest.min() > 0.09 * 32768 and loudest.max() < 0.91 * 32768


def test_the_data_set_is_kept_marked_and_has_other_voices_in_its_test(tiny, tmp_path, monkeypatch):
    dataset = spoken_words.spoken_words(tmp_path, DataConfig())
    assert dataset.synthetic and dataset.kind == "log-mel" and dataset.class_names[0] == "yes"
    assert dataset.x_train.shape == (60, 98, 40, 1) and dataset.x_test.shape == (20, 98, 40, 1)
    assert not set(spoken_words.TRAIN_VARIANTS) & set(spoken_words.TEST_VARIANTS)
    (path,) = tmp_path.iterdir()
    clips = np.load(path)["clips_train"]
    np.testing.assert_allclose(dataset.x_train[7], log_mel(clips[7:8] / np.float32(32768))[0], atol=1e-4)
    monkeypatch.setenv("PATH", "")  # from now on there is only the file
    again = spoken_words.spoken_words(tmp_path, DataConfig(clips_per_class=2))
    np.testing.assert_array_equal(np.bincount(again.y_train), [2] * 10)
    np.testing.assert_array_equal(again.x_test, dataset.x_test)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"not a readable NPZ file.*; remove it, and it is generated anew"):
        spoken_words.spoken_words(tmp_path, DataConfig())


def test_words_can_be_told_apart_and_voices_differ(tiny):
    voices = [espeak.Voice("en-us", "f2"), espeak.Voice("en-gb-scotland", "m4")]
    spoken = {(word, voice): espeak.speak(word, voice, 150, 50) for word in ("yes", "down") for voice in voices}
    assert all(2000 < len(waveform) < 20000 for waveform in spoken.values())
    assert len({waveform.tobytes() for waveform in spoken.values()}) == 4


def test_a_missing_espeak_ng_is_named_with_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match=r"espeak-ng, which speaks .* is not installed: apt-get install espeak-ng"):
        spoken_words.spoken_words(tmp_path, DataConfig())
    assert not list(tmp_path.iterdir())


def test_what_espeak_ng_refuses_is_reported(tiny):
    with pytest.raises(DataError, match=r"espeak-ng -v xx-none\+f1 .*"):
        espeak.speak("yes", espeak.Voice("xx-none", "f1"), 150, 50)
