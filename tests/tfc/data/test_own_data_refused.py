"""Data that cannot be trained on are refused in one line that says what to do."""

import numpy as np
import pytest
import tensorflow as tf
from own_data import (
    BASE,
    NAMES,
    OBJECTS,
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
    broken_image,
    changed,
    folder_of,
    labels,
    made,
    mixed_sizes,
    npz_of,
    pickled,
    pictures,
    pipeline,
)
from PIL import Image

import tfc
from tfc.base.errors import DataError
from tfc.config import DataConfig

REFUSED = [
    ("nothing known", 7, {}, r"data: found one int; taken are x_train, y_train, x_test, y_test"),
    ("one array", X, {}, r"found one ndarray of shape \(24, 8, 8, 1\); taken are"),
    ("three arrays", (X, Y, XT), {}, r"found a tuple of 3 \(ndarray, ndarray, ndarray\); taken are"),
    (
        "other keys",
        {"a": X, "b": Y},
        {},
        "lacks x_train, y_train, x_test, y_test; it holds a, b; other names are given with data.npz_keys",
    ),
    ("odd test part", {"train": (X, Y), "test": 3}, {}, "data: test: found one int; taken are"),
    (
        "a validation part",
        {"train": (X, Y), "validation": (XT, YT)},
        {},
        "has train and validation, no test: name the part",
    ),
    ("no such file", lambda folder: folder / "no.npz", {}, r"no\.npz: no such file or folder"),
    ("no archive", pickled, {}, "not a readable NPZ file: File is not a zip file"),
    ("objects in a file", npz_of(changed(y_train=OBJECTS)), {}, "holds pickled Python objects"),
    (
        "file lacks",
        npz_of({"x_train": X, "labels": Y}),
        {},
        "lacks y_train, x_test, y_test; it holds x_train, labels; other",
    ),
    ("wrong names", npz_of({"a": X}), {"npz_keys": "a,b,c,d"}, "lacks b, c, d; it holds a$"),
    (
        "three names",
        npz_of({"a": X}),
        {"npz_keys": "a,b,c"},
        "data.npz_keys must name four different arrays .* found 'a,b,c'",
    ),
    (
        "no test part",
        npz_of({"x_train": X, "y_train": Y}),
        {},
        r"has no test part: add one, or set data.test_fraction \(such as 0.2\)",
    ),
    ("half a test part", npz_of({**BASE, "x_test": XT} | {"y_test": YT[:0]}), {}, "x_test has 8 examples and y_test 0"),
    (
        "both a test part and a fraction",
        BASE,
        {"test_fraction": 0.1},
        "has a test part, so data.test_fraction = 0.1 has nothing to do",
    ),
    (
        "too small a fraction",
        (X, Y),
        {"test_fraction": 0.01},
        "data.test_fraction = 0.01 of any class is less than one example",
    ),
    (
        "labels from 1",
        labels(lambda y: y + 1),
        {},
        r"labels run from 1 to 4, and classes count from 0: subtract the smallest .*y - y\.min\(\)",
    ),
    (
        "negative labels",
        labels(lambda y: y - 1),
        {},
        "class -1 is negative; classes count from 0, labels run from -1 to 2",
    ),
    ("one class", labels(lambda y: 0 * y), {}, "every label is 0: classification needs two classes"),
    (
        "regression",
        labels(lambda y: y + 0.25),
        {},
        "y_train must be integers .*, found 0.25 in row 0; targets of a regression are not",
    ),
    (
        "labels not finite",
        changed(y_train=np.where(Y == 3, np.nan, Y)),
        {},
        "y_train must be integers .*, found nan in row 3",
    ),
    ("soft labels", labels(lambda y: np.eye(4)[y] * 0.9 + 0.025), {}, "row 0 is not one-hot"),
    ("two labels", labels(lambda y: np.eye(4)[y] + np.eye(4)[0]), {}, "row 0 is not one-hot"),
    (
        "several axes of labels",
        labels(lambda y: np.zeros((len(y), 2, 2))),
        {},
        r"must be integers or names of shape \(examples,\)",
    ),
    ("object labels", changed(y_train=OBJECTS), {}, "y_train is an array of Python objects, such as int64 in place 0"),
    (
        "names and numbers",
        changed(y_train=NAMES[Y]),
        {},
        "y_train is <U3, y_test int64: both must be names, or numbers",
    ),
    (
        "an unknown name",
        changed(y_train=NAMES[Y], y_test=np.array([*NAMES[YT[1:]], "gnu"])),
        {},
        "labels that are no class of the training set: gnu",
    ),
    ("class in the test alone", changed(y_test=YT + 1), {}, "y_test has classes that y_train lacks: 4"),
    ("labels and inputs", changed(y_train=Y[:5]), {}, "x_train has 24 examples and y_train 5"),
    (
        "not finite",
        changed(x_train=np.where(np.arange(24)[:, None, None, None] == 17, np.nan, X)),
        {},
        "x_train holds values that are not finite in float32, the first in row 17",
    ),
    (
        "infinite in float32",
        both(lambda x: x.astype(np.float64) * 1e300),
        {},
        "x_train holds values that are not finite in float32, the first in row 0",
    ),
    ("ragged", changed(x_train=[[1], [2, 3]] * 12), {}, "x_train: can't be made an array"),
    ("object inputs", both(lambda x: x.astype(object)), {}, "x_train is an array of Python objects, not of numbers"),
    ("texts as inputs", both(lambda x: x.astype(str)), {}, "x_train must be numbers, found <U"),
    ("complex", both(lambda x: 1j * x), {}, "x_train must be numbers, found complex"),
    (
        "five axes",
        both(lambda x: x[..., None]),
        {},
        r"x_train must have shape \(examples, height, width\[, channels\]\) for images or",
    ),
    ("one axis", both(lambda x: x[:, 0, 0, 0]), {}, r"x_train must have shape .* found \(24,\)"),
    ("no pixels", both(lambda x: x[:, :0]), {}, r"inputs of shape \(0, 8, 1\) hold nothing"),
    (
        "a sequence with four axes",
        BASE,
        {"kind": "sequence"},
        r"\(examples, steps, features\) for data.kind=sequence, found \(24, 8, 8, 1\)",
    ),
    (
        "float tokens",
        both(lambda x: x[:, :, 0, 0]),
        {"kind": "tokens"},
        "must be integers of shape .* for data.kind=tokens, found float32",
    ),
    (
        "negative tokens",
        both(lambda x: x[:, :, 0, 0].astype(int) - 1),
        {"kind": "tokens"},
        "has tokens from -1 to -1; 0 to 16777216",
    ),
    (
        "shapes differ",
        changed(x_test=XT[:, :7]),
        {},
        r"training and test inputs differ in shape: \(8, 8, 1\) and \(7, 8, 1\)",
    ),
    ("types differ", changed(x_test=UT), {}, "training inputs are float32, test inputs uint8"),
    ("one-hot in the test alone", changed(y_test=np.eye(4)[YT]), {}, "both must be alike"),
    (
        "endless pipeline",
        (pipeline(X, Y).repeat(), pipeline(XT, YT)),
        {},
        r"data: train: never ends: leave out repeat\(\)",
    ),
    (
        "pipeline of three",
        (pipeline(X, Y).map(lambda x, y: (x, y, y)), pipeline(XT, YT)),
        {},
        r"elements must be \(input, label\) or have entries x/y, pixels/label, image/label; found 3 parts",
    ),
    (
        "pipeline without labels",
        (tf.data.Dataset.from_tensor_slices(X), pipeline(XT, YT)),
        {},
        "found inputs without labels",
    ),
    (
        "pipeline of other names",
        (pipeline(X, Y).map(lambda x, y: {"a": x, "b": y}), pipeline(XT, YT)),
        {},
        "found entries a, b",
    ),
    (
        "pipeline of odd lengths",
        (
            tf.data.Dataset.from_generator(
                lambda: iter([([1.0], 0), ([1.0, 2.0], 1)]),
                output_signature=(tf.TensorSpec([None]), tf.TensorSpec([], tf.int32)),
            ),
            pipeline(XT, YT),
        ),
        {},
        "data: train: elements can't be joined",
    ),
    ("empty pipeline", (pipeline(X, Y).take(0), pipeline(XT, YT)), {}, "x_train has 0 examples and y_train 0"),
    ("no clients", (FakeClients(X, Y, []), pipeline(XT, YT)), {}, "data: train: has no clients"),
    (
        "columns",
        (Columns(a=Y, b=Y, label=Y), Columns(a=YT, b=YT, label=YT)),
        {},
        "which column has the inputs is not clear among a, b, label",
    ),
    (
        "columns without labels",
        (Columns(a=Y, b=Y), Columns(a=YT, b=YT)),
        {},
        "which column has the labels is not clear among a, b",
    ),
    (
        "pictures differ",
        (Columns(image=[*pictures(U[:23]), Image.new("L", (9, 8))], label=Y), (XT, YT)),
        {},
        "images differ: image 0 has shape 8x8x1, image 23 8x9x1: set data.image_size",
    ),
    ("folder without classes", folder_of({}), {}, "has no folder per class"),
    ("folder without images", folder_of({"train/cat": 0}), {}, r"holds no image \(\.png, .*\) in its folders cat"),
    ("folder without a test part", folder_of({"train/cat": 2, "train/dog": 2}), {}, "has no test part"),
    (
        "folder, sizes",
        mixed_sizes,
        {},
        r"images differ: cat.0\.png has shape 6x6x1, eel.0\.png 9x6x1: set data\.image_size",
    ),
    ("folder, a broken file", broken_image, {}, r"cat.zzz\.png: not a readable image"),
    ("folder, a class in the test alone", folder_of({**PETS, "test/gnu": 1}), {}, "test: gnu: no class of"),
]


@pytest.mark.parametrize("data,settings,message", [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_cannot_be_trained_on_is_refused_in_one_line(data, settings, message, tmp_path):
    with pytest.raises(DataError, match=message) as raised:
        tfc.as_dataset(made(data, tmp_path), config=DataConfig(**settings))
    assert "\n" not in str(raised.value)
