"""What CONTRIBUTING.md says of new methods, models, data sets and variants is done here, in a copy of the packages.

The steps are the document's, in its order; the document itself is held against the places that it sends to.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SIGNSGD = '''
"""signSGD: one bit per change, its sign, and one magnitude for all.

Source: Bernstein et al., "signSGD: Compressed Optimisation for Non-Convex Problems" (arXiv 1802.04434).
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from tfc.federated.method import Method
from tfc.federated.model_spec import plain_spec
from tfc.federated.update_coding import both_directions, build_update_coding_process, kernels_of
from tfc.graph_codec.checksum import bytes_of
from tfc.graph_codec.payload_reader import floats
from tfc.update_codecs import bits


@dataclass(frozen=True)
class Signs:
    size: int

    @property
    def most_bytes(self) -> int:
        return 4 + -(-self.size // 8)

    def encode(self, values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        stream = bits.pack(tf.cast(values < 0, tf.int32), filler=0)
        return tf.concat([bytes_of(tf.reduce_mean(tf.abs(values))), stream], axis=0)

    def decode(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        whole = tf.concat([data, tf.zeros([self.most_bytes], tf.uint8)], axis=0)[: self.most_bytes]
        magnitude = floats(tf.ensure_shape(whole[:4], [4]))[0]
        signs = tf.cast(1 - 2 * bits.unpack(whole[4:])[: self.size], tf.float32)
        sound = tf.equal(tf.size(data), self.most_bytes) & tf.math.is_finite(magnitude)
        return tf.ensure_shape(signs * magnitude, [self.size]), sound


def signsgd_spec(model_fn, config):
    """Returns signSGD's messages: the signs of all kernels on the way up, float32 on the way down."""
    model = plain_spec(model_fn, config)
    coded = kernels_of(model)
    size = sum(model.downlink.other_sizes[number] for number in coded)
    return both_directions(model, config, coded, Signs(size), None)


def build_signsgd(model_fn, data_type, config, ood_fn=None):
    """Builds signSGD."""
    return build_update_coding_process(signsgd_spec(model_fn, config), data_type, config)


SIGNSGD = Method(build_signsgd, "signs")
'''

MODEL = '''
"""A perceptron."""

import tensorflow as tf


def perceptron(input_shape, num_classes, *, seed=0, batchnorm_momentum=0.9):
    start = tf.keras.initializers.GlorotUniform
    inputs = tf.keras.Input(input_shape)
    x = tf.keras.layers.Flatten()(inputs)
    x = tf.keras.layers.Dense(16, "relu", kernel_initializer=start(seed), name="embedding")(x)
    return tf.keras.Model(inputs, tf.keras.layers.Dense(num_classes, kernel_initializer=start(seed + 1))(x))
'''

DATA = '''
"""Two stripes."""

import numpy as np

from tfc.data.dataset import Dataset
from tfc.base.errors import DataError


def stripes(data_dir, config):
    path = data_dir / "stripes.npy"
    if not path.is_file():
        raise DataError(f"{path}: missing")
    x = np.load(path)
    y = np.arange(len(x), dtype=np.int32) % 2
    return Dataset("stripes", x[:80], y[:80], x[80:], y[80:], 2)
'''


def replace(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, f"{path}: {old!r} is there {text.count(old)} times"
    path.write_text(text.replace(old, new))


def section(title):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S).group(1)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    for name in ("tfc", "edge"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def python(source, *words):
    environment = {**os.environ, "PYTHONPATH": str(source)}
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, cwd=source, env=environment
    )


@pytest.mark.slow
def test_a_new_method_model_and_data_set_make_a_run(source):
    import numpy as np

    registries = source / "tfc" / "registries.py"
    (source / "tfc" / "methods" / "signsgd.py").write_text(SIGNSGD.lstrip())
    entry = '        "stc": "tfc.methods.stc:STC",\n'
    replace(registries, entry, '        "signsgd": "tfc.methods.signsgd:SIGNSGD",\n' + entry)

    (source / "tfc" / "models" / "perceptron.py").write_text(MODEL.lstrip())
    entry = '        "dscnn": "tfc.models.dscnn:dscnn",\n'
    replace(registries, entry, entry + '        "perceptron": "tfc.models.perceptron:perceptron",\n')

    (source / "tfc" / "data" / "stripes.py").write_text(DATA.lstrip())
    entry = '        "npz": "tfc.data.npz_file:npz",\n'
    replace(registries, entry, entry + '        "stripes": "tfc.data.stripes:stripes",\n')

    x = np.zeros((100, 8, 8, 1), np.uint8)
    x[::2, :4], x[1::2, 4:] = 255, 255
    settings = [
        "rounds=2",
        "method=signsgd",
        "model.name=perceptron",
        "data.dataset=stripes",
        f"data.data_dir={source}",
        "data.num_clients=2",
        "training.batch_size=8",
    ]
    words = ["-m", "tfc", "run", "demo", *(word for text in settings for word in ("--set", text)), "--out", "run"]
    done = python(source, *words)
    assert done.returncode == 1 and "stripes.npy: missing" in done.stderr
    np.save(source / "stripes.npy", x)
    done = python(source, *words)
    assert done.returncode == 0, done.stderr
    metrics = (source / "run" / "metrics.csv").read_text().splitlines()
    rows = [dict(zip(metrics[0].split(","), line.split(","), strict=True)) for line in metrics[1:]]
    assert float(rows[-1]["accuracy"]) > 0.9
    assert 0 < int(rows[-1]["uplink_bytes"]) < 2 * 500  # two clients, about a bit for each of 1056 weights


def test_a_new_variant_is_exported(source, tmp_path):
    from palettized_models import plain

    plain().save(tmp_path / "model.keras")
    replace(
        source / "edge" / "conversion" / "variants.py",
        '    "wo8": ',
        '    "named": lambda conversion: conversion.float_content + b"",\n    "wo8": ',
    )
    words = ["-m", "edge", "export", tmp_path / "model.keras", "--out", "out", "--variants", "named,packed"]
    done = python(source, *words)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (source / "out").iterdir()} == {"model-named.tflite", "model-named.tflite.packed"}


@pytest.mark.parametrize("title", ["A new method", "A new model", "A new data set", "A new variant of model files"])
def test_the_places_that_recipes_send_to_are_there(title):
    text = section(title)
    paths = set(re.findall(r"`((?:tfc|edge|tests|docs)/[\w/.-]+)`", text))
    assert len(paths) >= 2
    for path in paths - {"tfc/methods/mine.py"}:
        assert (ROOT / path).exists(), path
    for name, path in re.findall(r"`([A-Z_]+)`[^`\n]*? in `([\w/]+\.py)`", text):
        assert re.search(rf"^{name}\b", (ROOT / path).read_text(), re.M), (name, path)
