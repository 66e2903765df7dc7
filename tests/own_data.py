"""Data in the forms in which people bring them, and stand-ins for objects of other packages."""

import collections
import pickle
from types import SimpleNamespace

import numpy as np
import tensorflow as tf
from PIL import Image

RNG = np.random.default_rng(0)
X, XT = (RNG.random((count, 8, 8, 1)).astype(np.float32) for count in (24, 8))
Y, YT = np.arange(24) % 4, np.arange(8) % 4
U, UT = ((255 * x).astype(np.uint8) for x in (X, XT))
BASE = {"x_train": X, "y_train": Y, "x_test": XT, "y_test": YT}
NAMES = np.array(["cat", "dog", "eel", "fox"])
OBJECTS = np.array([*Y[:-1], None], dtype=object)
CLIENTS = [np.array([0, 5, 9]), np.array([1, 2]), np.array([23, 3, 4, 6])]


def npz_of(arrays, name="data.npz"):
    def make(folder):
        np.savez(folder / name, **arrays)
        return folder / name

    return make


def changed(**arrays):
    return {**BASE, **arrays}


def both(change):
    return changed(x_train=change(X), x_test=change(XT))


def labels(change):
    return changed(y_train=change(Y), y_test=change(YT))


def pipeline(x, y, batch=0, form="pair"):
    forms = {
        "pair": lambda x, y: (x, y),
        "xy": lambda x, y: collections.OrderedDict(x=x, y=y),
        "emnist": lambda x, y: collections.OrderedDict(label=y, pixels=x),
    }
    found = tf.data.Dataset.from_tensor_slices((x, y)).map(forms[form])
    return found.batch(batch) if batch else found


class FakeClients:
    """As `tff.simulation.datasets.ClientData`."""

    def __init__(self, x, y, clients=CLIENTS):
        self.client_ids = [f"writer{number}" for number in range(len(clients))]
        self._parts = {
            name: pipeline(x[rows], y[rows], form="emnist") for name, rows in zip(self.client_ids, clients, strict=True)
        }

    def create_tf_dataset_for_client(self, name):
        return self._parts[name]


class Columns:
    """As a Hugging Face `datasets.Dataset`."""

    def __init__(self, names=(), **columns):
        self.features = {key: SimpleNamespace(dtype="int64") for key in columns}
        if len(names):
            self.features["label"] = SimpleNamespace(names=list(names))
        self.column_names = list(columns)
        self._columns = columns

    def __getitem__(self, key):
        return self._columns[key]


def pictures(x, mode=None):
    found = [Image.fromarray(image[..., 0]) for image in x]
    return [image.convert(mode) for image in found] if mode else found


def folder_of(layout, size=(6, 6), channels=1, ending="png"):
    """A function that writes {class folder: number of images}; image i of a folder is a plain grey of 10 * i."""

    def make(folder):
        for name, count in layout.items():
            (folder / name).mkdir(parents=True)
            for number in range(count):
                image = tf.fill([*size, channels], tf.cast(10 * number, tf.uint8))
                encode = tf.io.encode_jpeg if ending == "jpg" else tf.io.encode_png
                (folder / name / f"{number}.{ending}").write_bytes(encode(image).numpy())
        return folder

    return make


PETS = {"train/cat": 3, "train/dog": 2, "test/dog": 2, "test/cat": 1}


def mixed_sizes(folder):
    folder_of(PETS)(folder)
    folder_of({"train/eel": 1}, size=(9, 6))(folder)
    return folder


def broken_image(folder):
    folder_of(PETS)(folder)
    (folder / "train" / "cat" / "zzz.png").write_bytes(b"\x89PNG but not really")
    return folder


def pickled(folder):
    (folder / "data.npz").write_bytes(pickle.dumps(BASE))
    return folder / "data.npz"


def made(data, folder):
    return data(folder) if callable(data) and not isinstance(data, tf.data.Dataset) else data
