"""Waveforms, log-mel features, Speech Commands and VoxForge from files in their published formats."""

import shutil
import tarfile

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
from data_files import RATE, SPEAKERS, flac_bytes, tone, wav_bytes, write_speech_commands, write_voxforge

from tfc.base.errors import DataError
from tfc.config import DataConfig
from tfc.data.log_mel import features, log_mel, num_frames, num_samples
from tfc.data.speech_commands import speech_commands
from tfc.data.voxforge import voxforge
from tfc.data.waveforms import of_length, read_waveform


def independent_log_mel(waveform):
    """The front end in SciPy, from its definition: Hann frames, magnitudes, HTK's mel triangles, logarithm."""
    window = scipy.signal.get_window("hann", 400, fftbins=True)
    frames = np.stack([waveform[start : start + 400] * window for start in range(0, len(waveform) - 399, 160)])
    magnitudes = np.abs(np.fft.rfft(frames, 1024))

    def mel(hertz):
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    edges = np.linspace(mel(60.0), mel(7800.0), 42)
    bins = mel(np.arange(513) * 16000 / 1024)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    triangles[0] = 0
    return np.log(magnitudes @ triangles + 1e-3)


def test_log_mel_is_what_an_independent_computation_finds():
    rng = np.random.default_rng(0)
    sweep = scipy.signal.chirp(np.arange(8000) / RATE, 100, 0.5, 7000) * 0.5
    waveforms = np.stack([sweep, rng.normal(0, 0.1, 8000), np.zeros(8000)]).astype(np.float32)
    found = log_mel(tf.constant(waveforms)).numpy()
    assert found.shape == (3, 48, 40, 1)
    for waveform, each in zip(waveforms, found[..., 0], strict=True):
        expected = independent_log_mel(waveform.astype(float))
        # Where a frame is silent in a bin, the noise of a float32 FFT is as large as the logarithm's offset.
        np.testing.assert_allclose(np.exp(each), np.exp(expected), rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(found[1, ..., 0], independent_log_mel(waveforms[1].astype(float)), atol=1e-3)
    np.testing.assert_allclose(found[2], np.log(1e-3), atol=1e-6)


def test_features_of_many_clips_are_those_of_each(monkeypatch):
    monkeypatch.setattr("tfc.data.log_mel._CLIPS_AT_A_TIME", 2)
    clips = [tone(frequency, 0.1) for frequency in (300, 700, 1500)]
    found = features(iter(clips), 1600)
    assert found.shape == (3, num_frames(1600), 40, 1) and found.dtype == np.float32
    for clip, each in zip(clips, found, strict=True):
        np.testing.assert_allclose(each, log_mel(tf.constant(clip[None] / np.float32(32768)))[0], atol=1e-5)
    assert features(iter([]), 1600).shape == (0, num_frames(1600), 40, 1)
    assert [num_frames(num_samples(count)) for count in (1, 2, 98)] == [1, 2, 98]
    assert num_frames(num_samples(98) - 1) == 97 and num_frames(399) == 0


def test_waveforms_are_padded_and_cropped_in_the_middle():
    np.testing.assert_array_equal(of_length(np.arange(1, 4), 6), [0, 1, 2, 3, 0, 0])
    np.testing.assert_array_equal(of_length(np.arange(10), 4), [3, 4, 5, 6])
    np.testing.assert_array_equal(of_length(np.arange(4), 4), np.arange(4))


@pytest.mark.parametrize("encode,ending", [(wav_bytes, "wav"), (flac_bytes, "flac")])
def test_wav_and_flac_are_read_and_resampled(tmp_path, encode, ending):
    path = tmp_path / f"x.{ending}"
    path.write_bytes(encode(tone(440)))
    np.testing.assert_array_equal(read_waveform(path, path), tone(440))
    path.write_bytes(encode(tone(440, rate=48_000), 48_000))
    found = read_waveform(path, path)
    assert len(found) == RATE
    np.testing.assert_allclose(found[100:-100], tone(440)[100:-100], atol=80)  # of 9,830


def test_channels_are_averaged_and_24_bits_are_read(tmp_path):
    import soundfile

    path = tmp_path / "stereo.wav"
    stereo = np.stack([tone(440), np.zeros(RATE, np.int16)], axis=1)
    path.write_bytes(wav_bytes(stereo, channels=2))
    np.testing.assert_allclose(read_waveform(path, path), tone(440) / 2, atol=0.51)
    soundfile.write(path, tone(440) / 32768, RATE, subtype="PCM_24")
    np.testing.assert_allclose(read_waveform(path, path), tone(440), atol=1)


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"hello", wav_bytes(tone(440))[:-7], flac_bytes(tone(440))[:-900], wav_bytes([])]
)
def test_damaged_recordings_are_refused(tmp_path, content):
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.wav: not a readable WAV or FLAC file"):
        read_waveform(path, path)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    return write_speech_commands(tmp_path_factory.mktemp("commands"))


@pytest.fixture
def copied_commands(commands, tmp_path):
    return shutil.copytree(commands, tmp_path / "copy")


def test_speech_commands_follows_the_official_lists(commands):
    dataset = speech_commands(commands, DataConfig(words="all"))
    assert dataset.num_classes == 11 and dataset.class_names[0] == "cat" and dataset.kind == "log-mel"
    assert dataset.x_train.shape == (33, 98, 40, 1) and dataset.x_test.shape == (11, 98, 40, 1)
    np.testing.assert_array_equal(np.bincount(dataset.y_train), [3] * 11)
    np.testing.assert_array_equal(np.bincount(dataset.owners), [11] * 3)
    label = dataset.class_names.index("yes")
    expected = log_mel(tf.constant(tone(300)[None] / np.float32(32768)))[0]
    np.testing.assert_allclose(dataset.x_test[dataset.y_test == label][0], expected, atol=1e-5)


def test_ten_words_and_twelve_classes(commands):
    ten = speech_commands(commands, DataConfig(words="ten"))
    assert ten.class_names[:2] == ("yes", "no") and len(ten.x_train) == 30 and ten.num_classes == 10
    twelve = speech_commands(commands, DataConfig(words="twelve"))
    assert twelve.class_names[10:] == ("unknown", "silence")
    np.testing.assert_array_equal(np.bincount(twelve.y_train), [3] * 12)
    np.testing.assert_array_equal(np.bincount(twelve.y_test), [1] * 12)
    assert len(twelve.owners) == 36 and set(twelve.owners) == {0, 1, 2}
    again = speech_commands(commands, DataConfig(words="twelve"))
    np.testing.assert_array_equal(again.x_train, twelve.x_train)


def test_length_and_number_of_clips_follow_the_configuration(commands):
    dataset = speech_commands(commands, DataConfig(words="ten", clip_seconds=0.5, clips_per_class=2))
    assert dataset.x_train.shape == (20, 48, 40, 1) and len(dataset.x_test) == 10
    with pytest.raises(DataError, match=r"clip_seconds=0\.01 is less than one frame"):
        speech_commands(commands, DataConfig(clip_seconds=0.01))


def test_incomplete_speech_commands_are_refused(copied_commands, tmp_path):
    with pytest.raises(
        DataError, match=r"nowhere not found: get speech_commands_v0\.02\.tar\.gz .*data\.data_dir=FOLDER"
    ):
        speech_commands(tmp_path / "nowhere", DataConfig())
    with pytest.raises(DataError, match="its folder not found"):
        speech_commands(None, DataConfig())
    shutil.rmtree(copied_commands / "_background_noise_")
    with pytest.raises(DataError, match=r"no noise of 16000 samples .*data\.words=ten"):
        speech_commands(copied_commands, DataConfig())
    damaged = copied_commands / "yes" / f"{SPEAKERS[0]}_nohash_0.wav"
    damaged.write_bytes(damaged.read_bytes()[:5000])
    with pytest.raises(DataError, match=rf"{damaged.name}: not a readable WAV .*truncated"):
        speech_commands(copied_commands, DataConfig(words="ten"))
    (copied_commands / "go" / f"{SPEAKERS[4]}_nohash_0.wav").unlink()
    with pytest.raises(DataError, match=r"testing_list\.txt lists 1 files that are not there, such as go/"):
        speech_commands(copied_commands, DataConfig(words="ten"))
    (copied_commands / "testing_list.txt").unlink()
    with pytest.raises(DataError, match=r"testing_list\.txt not found: unpack the whole archive"):
        speech_commands(copied_commands, DataConfig(words="ten"))


@pytest.mark.parametrize("ending", [".wav", ".flac"])
def test_voxforge_keeps_speakers_apart(tmp_path, ending):
    folder = write_voxforge(tmp_path, ending=ending)
    dataset = voxforge(folder, DataConfig(clip_seconds=0.5))
    assert dataset.class_names == ("de", "en") and dataset.num_classes == 2
    assert dataset.x_train.shape == (2 * 3 * 3, 48, 40, 1) and dataset.x_test.shape == (2 * 3, 48, 40, 1)
    np.testing.assert_array_equal(np.bincount(dataset.y_train), [9, 9])
    np.testing.assert_array_equal(np.bincount(dataset.owners), [3] * 6)
    # A speaker speaks one language, and each language's tone lies where it should: 400 and 800 Hz.
    assert all(len(set(dataset.y_train[dataset.owners == owner])) == 1 for owner in range(6))
    loudest = dataset.x_test[..., 0].mean(axis=1).argmax(axis=-1)
    assert loudest[dataset.y_test == 0].max() < loudest[dataset.y_test == 1].min()


def test_unpacked_voxforge_equals_its_archives(tmp_path):
    folder = write_voxforge(tmp_path / "packed", sentences=2)
    for path in sorted(folder.rglob("*.tgz")):
        target = tmp_path / "unpacked" / path.parent.name
        with tarfile.open(path) as archive:
            archive.extractall(target, filter="data")
    packed, unpacked = (voxforge(tmp_path / name, DataConfig(clip_seconds=0.3)) for name in ("packed", "unpacked"))
    np.testing.assert_array_equal(packed.x_train, unpacked.x_train)
    np.testing.assert_array_equal(packed.owners, unpacked.owners)
    few = voxforge(tmp_path / "packed", DataConfig(clip_seconds=0.3, clips_per_class=3))
    np.testing.assert_array_equal(np.bincount(few.y_train), [3, 3])


def test_submissions_of_one_name_are_one_speaker_unless_anonymous(tmp_path):
    names = {
        "de": ["jean-luc-20080318-kdl", "jean-luc-20090318-xyz", "anonymous-20080318-kdl", "anonymous-20090318-xyz"],
        "en": ["Ann-20080318-abc", "Bob-20080318-abc"],
    }
    for language, submissions in names.items():
        for name in submissions:
            (tmp_path / language / name / "wav").mkdir(parents=True)
            (tmp_path / language / name / "wav" / "1.wav").write_bytes(wav_bytes(tone(400, 0.1)))
    dataset = voxforge(tmp_path, DataConfig(clip_seconds=0.1))
    # Of three German speakers one is for the test: with both submissions, or as one of the two anonymous ones.
    german = dataset.owners[dataset.y_train == 0]
    assert (len(german), len(set(german))) in ((2, 2), (3, 2))
    assert len(german) + (dataset.y_test == 0).sum() == 4


def test_unfit_voxforge_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="its folder not found: get the speech files"):
        voxforge(None, DataConfig())
    folder = write_voxforge(tmp_path / "one", languages=("de",))
    with pytest.raises(DataError, match="one folder per language, at least two; found 1"):
        voxforge(folder, DataConfig())
    folder = write_voxforge(tmp_path / "lonely", speakers=1)
    with pytest.raises(DataError, match="language 'de' has 1 speakers"):
        voxforge(folder, DataConfig())
    folder = write_voxforge(tmp_path / "damaged")
    for path in (folder / "en").glob("*.tgz"):
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"enspeaker\d.*\.tgz: not a readable archive"):
        voxforge(folder, DataConfig())
