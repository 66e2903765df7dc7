"""Procedural sounds and folders of audio as log-mel features."""

import numpy as np
import pytest
import tensorflow as tf
from data_files import flac_bytes, tone, wav_bytes

from tfc.base.errors import DataError
from tfc.data.log_mel import log_mel, num_samples
from tfc.data.ood_audio import audio_folder, procedural_audio, sound_events


def test_sounds_are_a_function_of_the_seed_and_full_of_structure():
    sounds = sound_events(20, 8000, tf.constant([1, 2])).numpy()
    assert sounds.shape == (20, 8000) and np.isfinite(sounds).all()
    loudest = np.abs(sounds).max(axis=1)
    assert loudest.min() >= 0.09 and loudest.max() <= 0.91
    np.testing.assert_array_equal(sounds, sound_events(20, 8000, tf.constant([1, 2])))
    assert (sounds != sound_events(20, 8000, tf.constant([1, 3])).numpy()).mean() > 0.9
    patches = log_mel(tf.constant(sounds)).numpy()[..., 0]
    # Frames resemble their neighbours in time more than those of other sounds, unlike noise.
    neighbour = np.abs(np.diff(patches, axis=1)).mean()
    assert neighbour < 0.5 * np.abs(patches - np.roll(patches, 1, axis=0)).mean()
    assert patches.std(axis=0).min() > 0.3, "every bin of every frame varies from sound to sound"


def test_procedural_audio_yields_the_number_asked_for_twice_the_same_in_graphs_too():
    build = procedural_audio(70, 30, (12, 40, 1), seed=4)
    batches = [batch.numpy() for batch in build()]
    assert [batch.shape for batch in batches] == [(30, 12, 40, 1), (30, 12, 40, 1), (10, 12, 40, 1)]
    for first, second in zip(batches, build(), strict=True):
        np.testing.assert_array_equal(first, second)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        total = build().reduce(0.0, lambda so_far, batch: so_far + tf.reduce_sum(batch))
        assert session.run(total) == pytest.approx(sum(batch.sum() for batch in batches), rel=1e-4)


def test_a_folder_of_audio_is_read_and_cropped(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.wav").write_bytes(wav_bytes(tone(400, 2.0)))
    (tmp_path / "sub" / "b.flac").write_bytes(flac_bytes(tone(900, 0.5)))
    (batch,) = audio_folder(tmp_path, 10, 4, (20, 40, 1))()
    length = num_samples(20)
    middle = tone(400, 2.0)[16000 - length // 2 : 16000 + length // 2]
    np.testing.assert_allclose(batch[0], log_mel(middle[None] / np.float32(32768))[0], atol=1e-4)
    assert batch.shape == (2, 20, 40, 1)
    (one,) = audio_folder(tmp_path, 1, 4, (20, 40, 1))()
    assert one.shape == (1, 20, 40, 1)


def test_unfit_folders_and_inputs_are_refused(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        audio_folder(tmp_path / "nothing", 10, 4, (20, 40, 1))
    with pytest.raises(DataError, match=r"holds no audio \(\.wav, \.flac\)"):
        audio_folder(tmp_path, 10, 4, (20, 40, 1))
    (tmp_path / "broken.flac").write_bytes(b"fLaC but not really")
    with pytest.raises(DataError, match=r"broken\.flac: not a readable WAV or FLAC file"):
        audio_folder(tmp_path, 10, 4, (20, 40, 1))
    with pytest.raises(DataError, match="the model takes 32x32x3"):
        procedural_audio(10, 4, (32, 32, 3), 0)
