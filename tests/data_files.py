"""Small generated data sets in exactly the formats that the real ones have on disk."""

import io
import pickle
import tarfile
import wave

import numpy as np

RATE = 16_000


def write_cifar(folder, train_files, test_file, labels_key, num_classes, per_file=40):
    """Batches as the published ones: rows of planes, classes as a list, everything a bytes key."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in (*train_files, test_file):
        labels = [int(label) for label in np.arange(per_file) % num_classes]
        rows = rng.integers(0, 256, (per_file, 3072), dtype=np.uint8)
        batch = {b"batch_label": name.encode(), labels_key: labels, b"data": rows, b"filenames": [b"x.png"] * per_file}
        if labels_key == b"fine_labels":
            batch[b"coarse_labels"] = [label // 5 for label in labels]
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder


def write_cifar10(parent):
    batches = [f"data_batch_{number}" for number in range(1, 6)]
    return write_cifar(parent / "cifar-10-batches-py", batches, "test_batch", b"labels", 10)


def write_cifar100(parent):
    return write_cifar(parent / "cifar-100-python", ["train"], "test", b"fine_labels", 100, per_file=200)


def pathmnist_arrays(per_part=45):
    rng = np.random.default_rng(0)
    arrays = {}
    for part in ("train", "val", "test"):
        arrays[f"{part}_images"] = rng.integers(0, 256, (per_part, 28, 28, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(per_part) % 9)[:, None].astype(np.uint8)
    return arrays


def tone(frequency, seconds=1.0, rate=RATE, amplitude=0.3):
    """int16 samples of a sine."""
    return np.rint(32767 * amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(
        np.int16
    )


def wav_bytes(samples, rate=RATE, channels=1):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return buffer.getvalue()


SPEAKERS = ("0a7c2a8d", "1b4c9b89", "3c257192", "9aa21fa9", "b414c653")


def write_speech_commands(folder, words=("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "cat")):
    """Five speakers say each word once: three for training, one for validation, one for the test."""
    for number, word in enumerate(words):
        (folder / word).mkdir(parents=True)
        for speaker in SPEAKERS:
            clip = tone(300 + 150 * number, 0.9 if speaker == SPEAKERS[0] else 1.0)
            (folder / word / f"{speaker}_nohash_0.wav").write_bytes(wav_bytes(clip))
    (folder / "_background_noise_").mkdir()
    noise = np.random.default_rng(0).normal(0, 500, 3 * RATE).astype(np.int16)
    (folder / "_background_noise_" / "white_noise.wav").write_bytes(wav_bytes(noise))
    for name, speaker in (("validation_list.txt", SPEAKERS[3]), ("testing_list.txt", SPEAKERS[4])):
        (folder / name).write_text("".join(f"{word}/{speaker}_nohash_0.wav\n" for word in words))
    return folder


def write_voxforge(folder, languages=("de", "en"), speakers=4, sentences=3, ending=".wav"):
    """One archive per speaker and language, each with a text file beside its recordings."""
    for label, language in enumerate(languages):
        (folder / language).mkdir(parents=True)
        for speaker in range(speakers):
            name = f"{language}speaker{speaker}-2008010{speaker + 1}-abc"
            with tarfile.open(folder / language / f"{name}.tgz", "w:gz") as archive:
                add(archive, f"{name}/etc/README", b"License: none, these are sines")
                for sentence in range(sentences):
                    samples = tone(400 + 400 * label + 20 * speaker, 0.5 + 0.2 * sentence, 48_000)
                    content = wav_bytes(samples, 48_000) if ending == ".wav" else flac_bytes(samples, 48_000)
                    add(archive, f"{name}/{ending[1:]}/{sentence}{ending}", content)
    return folder


def add(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def flac_bytes(samples, rate=RATE):
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


EXERCISES = ["PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW"]


def watch_recordings(people=10, steps=230, **changes):
    """Two recordings of each person; a reading tells who, which exercise, and when."""
    rng = np.random.default_rng(0)
    found = {"X": [], "y": [], "subject": [], "y_labels": EXERCISES, "X_labels": list("abcdef"), "side": []}
    for person in range(1, people + 1):
        for exercise in rng.choice(7, 2, replace=False):
            signal = np.tile([person, exercise, 0.0, 0, 0, 0], (steps, 1)).astype(float)
            signal[:, 2] = np.arange(steps)
            signal[:, 3:] = 3.0
            found["X"].append(signal)
            found["y"].append(int(exercise))
            found["subject"].append(person)
    found["y"], found["subject"] = np.array(found["y"], float), np.array(found["subject"])
    return found | changes
