"""Each form of data that people bring gives the right data set."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from own_data import (
    BASE,
    CLIENTS,
    NAMES,
    PETS,
    UT,
    XT,
    YT,
    Columns,
    FakeClients,
    U,
    X,
    Y,
    both,
    changed,
    folder_of,
    labels,
    made,
    mixed_sizes,
    npz_of,
    pictures,
    pipeline,
)

import tfc
from tfc.config import DataConfig


@dataclasses.dataclass
class Right:
    """What has to come out."""

    kind: str = "image"
    shape: tuple = (8, 8, 1)
    dtype: str = "float32"
    classes: int = 4
    names: tuple = ()
    x: object = None
    y: object = None
    counts: tuple = (24, 8)
    owners: object = None


IS = Right()
TABLE = Right("table", (64,))

FORMS = [
    ("dictionary", BASE, {}, Right(x=X, y=Y)),
    ("four arrays", (X, Y, XT, YT), {}, Right(x=X, y=Y)),
    ("as keras.datasets give them", ((X, Y), (XT, YT)), {}, Right(x=X, y=Y)),
    ("lists", (X.tolist(), Y.tolist(), XT.tolist(), YT.tolist()), {}, Right(x=X, y=Y)),
    ("tensors", (tf.constant(X), tf.constant(Y), tf.constant(XT), tf.constant(YT)), {}, Right(x=X, y=Y)),
    ("NPZ file", npz_of(BASE), {}, Right(x=X, y=Y)),
    ("NPZ file, its path as text", lambda folder: str(npz_of(BASE)(folder)), {}, IS),
    (
        "NPZ file with other names",
        npz_of({"a": X, "b": Y, "c": XT, "d": YT}),
        {"npz_keys": "a, b,c,d"},
        Right(x=X, y=Y),
    ),
    (
        "NPZ file with owners and names",
        npz_of(changed(owner=Y, class_names=NAMES)),
        {},
        Right(names=tuple(NAMES), owners=Y),
    ),
    ("tf.data, single", (pipeline(X, Y), pipeline(XT, YT)), {}, Right(x=X, y=Y)),
    ("tf.data, batches", (pipeline(X, Y, 7), pipeline(XT, YT, 3)), {}, Right(x=X, y=Y)),
    ("tf.data, dictionaries", (pipeline(X, Y, 0, "xy"), pipeline(XT, YT, 5, "emnist")), {}, Right(x=X, y=Y)),
    ("tf.data, one-hot", (pipeline(X, np.eye(4)[Y]), pipeline(XT, np.eye(4)[YT], 3)), {}, Right(x=X, y=Y)),
    ("tf.data and arrays", (pipeline(X, Y), (XT, YT)), {}, Right(x=X, y=Y)),
    ("tf.data, texts", (pipeline(X, NAMES[Y]), pipeline(XT, NAMES[YT])), {}, Right(y=Y, names=tuple(NAMES))),
    (
        "TFF clients",
        (FakeClients(X, Y), FakeClients(XT, YT, [np.arange(4), np.arange(4, 8)])),
        {},
        Right(counts=(9, 8), owners=np.repeat([0, 1, 2], [3, 2, 4]), x=X[np.concatenate(CLIENTS)]),
    ),
    (
        "Hugging Face, images",
        {"train": Columns(NAMES, image=pictures(U), label=Y), "test": Columns(NAMES, image=pictures(UT), label=YT)},
        {},
        Right(dtype="uint8", names=tuple(NAMES), x=U, y=Y),
    ),
    (
        "Hugging Face, palettes and RGB",
        (
            Columns(img=[*pictures(U[:12], "P"), *pictures(U[12:], "RGB")], labels=Y),
            Columns(img=pictures(UT), labels=YT),
        ),
        {"channels": 3},
        Right(dtype="uint8", shape=(8, 8, 3), x=np.repeat(U, 3, -1), y=Y),
    ),
    (
        "Hugging Face, arrays",
        (
            Columns(NAMES, vector=X.reshape(24, 64).tolist(), label=Y),
            Columns(NAMES, vector=XT.reshape(8, 64), label=YT),
        ),
        {},
        dataclasses.replace(TABLE, names=tuple(NAMES), y=Y),
    ),
    (
        "folder",
        folder_of(PETS),
        {},
        Right(shape=(6, 6, 1), dtype="uint8", classes=2, names=("cat", "dog"), counts=(5, 3), y=[0, 0, 0, 1, 1]),
    ),
    (
        "folder, JPEG, RGB",
        folder_of(PETS, channels=3, ending="jpg"),
        {},
        Right(shape=(6, 6, 3), dtype="uint8", classes=2, names=("cat", "dog"), counts=(5, 3)),
    ),
    (
        "folder, resized",
        mixed_sizes,
        {"image_size": 4},
        Right(shape=(4, 4, 1), dtype="uint8", classes=3, names=("cat", "dog", "eel"), counts=(6, 3)),
    ),
    (
        "folder, channels",
        folder_of(PETS),
        {"channels": 3},
        Right(shape=(6, 6, 3), dtype="uint8", classes=2, names=("cat", "dog"), counts=(5, 3)),
    ),
    (
        "folder, no test part",
        folder_of({"cat": 10, "dog": 5}),
        {"test_fraction": 0.2},
        Right(shape=(6, 6, 1), dtype="uint8", classes=2, names=("cat", "dog"), counts=(12, 3)),
    ),
    ("a part split off", (X, Y), {"test_fraction": 0.3}, Right(counts=(16, 8))),
    (
        "a file split",
        npz_of({"x_train": X, "y_train": Y, "owners": NAMES[Y]}),
        {"test_fraction": 0.3},
        Right(counts=(16, 8)),
    ),
    ("two names", npz_of({"a": X, "b": Y}), {"npz_keys": "a,b", "test_fraction": 0.3}, Right(counts=(16, 8))),
    ("uint8", (U, Y, UT, YT), {}, Right(dtype="uint8", x=U)),
    ("int64 inputs", both(lambda x: (2 * x).astype(np.int64)), {}, IS),
    ("bool inputs", both(lambda x: x > 0.5), {}, Right(x=(X > 0.5).astype(np.float32))),
    ("float64", both(np.float64), {}, Right(x=X)),
    ("float16", both(np.float16), {}, Right(x=X.astype(np.float16).astype(np.float32))),
    ("no channels", both(lambda x: x[..., 0]), {}, Right(x=X)),
    ("table", both(lambda x: x.reshape(len(x), 64)), {}, dataclasses.replace(TABLE, x=X.reshape(24, 64))),
    ("table by name", both(lambda x: x.reshape(len(x), 64)), {"kind": "table"}, TABLE),
    ("sequence", both(lambda x: x[..., 0]), {"kind": "sequence"}, Right("sequence", (8, 8), x=X[..., 0])),
    (
        "tokens",
        both(lambda x: (99 * x[:, :, 0, 0]).astype(np.int64)),
        {"kind": "tokens"},
        Right("tokens", (8,), "int32"),
    ),
    (
        "uint8 tokens",
        both(lambda x: (99 * x[:, :, 0, 0]).astype(np.uint8)),
        {"kind": "tokens"},
        Right("tokens", (8,), "int32"),
    ),
    ("integers without a kind", both(lambda x: (99 * x[:, :, 0, 0]).astype(np.int64)), {}, Right("table", (8,))),
    ("labels (n, 1)", labels(lambda y: y[:, None]), {}, Right(y=Y)),
    ("float labels", labels(np.float64), {}, Right(y=Y)),
    ("one-hot labels", labels(lambda y: np.eye(4, dtype=np.uint8)[y]), {}, Right(y=Y)),
    ("uint64 labels", labels(np.uint64), {}, Right(y=Y)),
    ("boolean labels", labels(lambda y: y > 1), {}, Right(classes=2, y=Y > 1)),
    ("text labels", labels(lambda y: NAMES[y]), {}, Right(names=tuple(NAMES), y=Y)),
    ("text labels as objects", labels(lambda y: NAMES[y].astype(object)), {}, Right(names=tuple(NAMES), y=Y)),
    ("text labels as bytes", npz_of(labels(lambda y: NAMES[y].astype("S"))), {}, Right(names=tuple(NAMES), y=Y)),
]


@pytest.mark.parametrize("data,settings,right", [row[1:] for row in FORMS], ids=[row[0] for row in FORMS])
def test_each_form_gives_the_right_data_set(data, settings, right, tmp_path):
    found = tfc.as_dataset(made(data, tmp_path), config=DataConfig(**settings))
    assert (found.kind, found.input_shape, found.x_train.dtype.name) == (right.kind, right.shape, right.dtype)
    assert found.x_test.dtype == found.x_train.dtype and found.x_test.shape[1:] == right.shape
    assert (found.num_classes, found.class_names) == (right.classes, tuple(right.names))
    assert (len(found.x_train), len(found.x_test)) == (len(found.y_train), len(found.y_test)) == right.counts
    assert found.y_train.dtype == found.y_test.dtype == np.int32
    for value, wanted in ((found.x_train, right.x), (found.y_train, right.y), (found.owners, right.owners)):
        if wanted is not None:
            np.testing.assert_array_equal(value, wanted)
