"""Small models of the kinds that people export, each trained for seconds on data of its own: `built(NAME)`.

Images are 8 x 8 with a bright spot in one of four quadrants; everything else is derived from them.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ai_edge_litert.interpreter
import numpy as np
import tensorflow as tf
import tflite_runtime.interpreter

from edge.formats.table_expansion import expand_tables

K, L = tf.keras, tf.keras.layers
SIZE, CLASSES, TRAIN, TEST = 8, 4, 400, 100
SHAPE = (SIZE, SIZE, 1)

Arrays = dict[str, np.ndarray]


class Built(NamedTuple):
    """A trained model and its data, arrays by their names in an NPZ archive: x (or one per input) and y."""

    model: tf.keras.Model
    train: Arrays
    test: Arrays


def images() -> tuple[np.ndarray, np.ndarray]:
    """Images (examples, 8, 8, 1) in [0, 1] and the quadrants of their spots (examples,)."""
    rng = np.random.default_rng(0)
    quadrant = rng.integers(0, CLASSES, TRAIN + TEST)
    x = rng.random((TRAIN + TEST, SIZE, SIZE, 1), np.float32) * 0.55
    rows, columns = (quadrant // 2) * 4 + rng.integers(0, 3, len(x)), (quadrant % 2) * 4 + rng.integers(0, 3, len(x))
    for image, row, column in zip(x, rows, columns, strict=True):
        image[row : row + 2, column : column + 2] += 0.4
    return np.clip(x, 0, 1), quadrant


def _built(model: tf.keras.Model, inputs: Arrays, y: np.ndarray, loss: object, epochs: int = 12) -> Built:
    model.compile(K.optimizers.Adam(1e-2), loss)
    values = list(inputs.values())
    model.fit([each[:TRAIN] for each in values], y[:TRAIN], batch_size=32, epochs=epochs, verbose=0)
    return _with_data(model, inputs, y)


def _with_data(model: tf.keras.Model, inputs: Arrays, y: np.ndarray) -> Built:
    parts = slice(None, TRAIN), slice(TRAIN, None)
    train, test = ({**{name: each[part] for name, each in inputs.items()}, "y": y[part]} for part in parts)
    return Built(model, train, test)


def _scores(logits: bool = True) -> object:
    return K.losses.SparseCategoricalCrossentropy(from_logits=logits)


def _trunk(inputs: tf.Tensor) -> tf.Tensor:
    x = L.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    return L.Flatten()(L.MaxPooling2D()(x))


def scores() -> Built:
    """Softmax over four classes."""
    x, y = images()
    i = K.Input(SHAPE)
    return _built(K.Model(i, L.Dense(CLASSES, activation="softmax")(_trunk(i))), {"x": x}, y, _scores(False))


def binary() -> Built:
    """One probability."""
    x, y = images()
    i = K.Input(SHAPE)
    model = K.Model(i, L.Dense(1, activation="sigmoid")(_trunk(i)))
    return _built(model, {"x": x}, (y >= 2).astype(np.int64), "binary_crossentropy")


def binary_logit() -> Built:
    """One logit, labels of shape (examples, 1)."""
    x, y = images()
    i = K.Input(SHAPE)
    loss = K.losses.BinaryCrossentropy(from_logits=True)
    return _built(K.Model(i, L.Dense(1)(_trunk(i))), {"x": x}, (y >= 2).astype(np.int64)[:, None], loss)


def regression() -> Built:
    """One number: ten times the mean brightness."""
    x, _ = images()
    i = K.Input(SHAPE)
    return _built(K.Model(i, L.Dense(1)(_trunk(i))), {"x": x}, x.mean((1, 2, 3)) * 10, "mse")


def landmarks() -> Built:
    """Two numbers: row and column of the brightness' centre, in pixels."""
    x, _ = images()
    places = np.arange(SIZE, dtype=np.float32)
    weights = x[..., 0] / x.sum((1, 2, 3))[:, None, None]
    y = np.stack([(weights.sum(2) * places).sum(1), (weights.sum(1) * places).sum(1)], axis=1)
    i = K.Input(SHAPE)
    return _built(K.Model(i, L.Dense(2)(_trunk(i))), {"x": x}, y, "mse")


def one_hot() -> Built:
    """Labels as (examples, classes)."""
    x, y = images()
    i = K.Input(SHAPE)
    loss = K.losses.CategoricalCrossentropy(from_logits=True)
    return _built(K.Model(i, L.Dense(CLASSES)(_trunk(i))), {"x": x}, np.eye(CLASSES, dtype=np.float32)[y], loss)


def several_labels() -> Built:
    """Two labels at once: whether the spot is below, and whether it is on the right."""
    x, y = images()
    i = K.Input(SHAPE)
    model = K.Model(i, L.Dense(2, activation="sigmoid")(_trunk(i)))
    return _built(model, {"x": x}, np.stack([y // 2, y % 2], axis=1), "binary_crossentropy")


def segmentation() -> Built:
    """Three classes per pixel, by brightness."""
    x, _ = images()
    i = K.Input(SHAPE)
    h = L.Conv2D(8, 3, padding="same", activation="relu")(i)
    h = L.Conv2DTranspose(8, 2, strides=2, activation="relu")(L.MaxPooling2D()(h))
    model = K.Model(i, L.Conv2D(3, 1, activation="softmax")(L.Concatenate()([h, i])))
    return _built(model, {"x": x}, np.digitize(x[..., 0], [0.3, 0.6]), _scores(False), epochs=20)


def fully_convolutional() -> Built:
    """Scores of shape (1, 1, classes)."""
    x, y = images()
    i = K.Input(SHAPE)
    h = L.Conv2D(8, 3, strides=2, padding="same", activation="relu")(i)
    built = _built(K.Model(i, L.Conv2D(CLASSES, 4)(h)), {"x": x}, y.reshape(-1, 1, 1), _scores())
    return _with_data(built.model, {"x": x}, y)


def two_outputs() -> Built:
    """Scores, and seven numbers made of them."""
    x, y = images()
    i = K.Input(SHAPE)
    logits = L.Dense(CLASSES, name="logits")(_trunk(i))
    built = _built(K.Model(i, logits), {"x": x}, y, _scores())
    return built._replace(model=K.Model(i, [L.Dense(7, name="more")(logits), logits]))


def dictionary_output() -> Built:
    """Outputs by name: scores and an embedding."""
    x, y = images()
    i = K.Input(SHAPE, name="image")
    hidden = L.Dense(12, activation="relu")(_trunk(i))
    logits = L.Dense(CLASSES)(hidden)
    built = _built(K.Model(i, logits), {"x": x}, y, _scores())
    return built._replace(model=K.Model(i, {"logits": logits, "embedding": hidden}))


def _recurrent(layer: tf.keras.layers.Layer) -> Built:
    x, y = images()
    model = K.Sequential([K.Input((SIZE, SIZE)), layer, L.Dense(CLASSES)])
    return _built(model, {"x": x[..., 0]}, y, _scores(), epochs=15)


def lstm() -> Built:
    """An LSTM over the rows."""
    return _recurrent(L.LSTM(16))


def gru() -> Built:
    """A GRU over the rows; TFLite runs it as a loop with subgraphs of its own."""
    return _recurrent(L.GRU(16))


class StreamingConv(L.Layer):
    """A convolution over time that keeps the last frames of its input for the next part of the stream."""

    def build(self, shape: tf.TensorShape) -> None:
        """Makes the state and the kernel."""
        self.state = self.add_weight("state", (1, 2, shape[-1]), initializer="zeros", trainable=False)
        self.kernel = self.add_weight("kernel", (3, shape[-1], 8))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Returns one frame per input frame."""
        frames = tf.concat([self.state, x], axis=1)
        self.state.assign(frames[:, -2:])
        return tf.nn.relu(tf.nn.conv1d(frames, self.kernel, 1, "VALID"))


def stream() -> Built:
    """A streaming model of four frames at a time, its state a resource variable; untrained."""
    x, _ = images()
    i = K.Input((4, SIZE), batch_size=1)
    tf.keras.utils.set_random_seed(0)
    model = K.Model(i, L.Dense(CLASSES)(L.GlobalAveragePooling1D()(StreamingConv()(i))))
    frames = x[:, :4, :, 0]
    classes = []
    for each in frames:
        model.layers[1].state.assign(tf.zeros((1, 2, SIZE)))
        classes.append(int(model(each[None]).numpy().argmax()))
    model.layers[1].state.assign(tf.zeros((1, 2, SIZE)))
    return _with_data(model, {"x": frames}, np.array(classes))


def tokens() -> Built:
    """Token numbers, int32, into an embedding."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 50, (TRAIN + TEST, 12)).astype(np.int32)
    i = K.Input((12,), dtype="int32")
    h = L.Dense(16, activation="relu")(L.GlobalAveragePooling1D()(L.Embedding(50, 8)(i)))
    return _built(K.Model(i, L.Dense(2)(h)), {"x": x}, ((x < 25).sum(1) > 6).astype(np.int64), _scores(), epochs=20)


def _pixels(dtype: str) -> Built:
    x, y = images()
    pixels = np.round(x * 255).astype(np.uint8)
    i = K.Input(SHAPE, dtype=dtype)
    model = K.Model(i, L.Dense(CLASSES, activation="softmax")(_trunk(L.Rescaling(1 / 255)(i))))
    return _built(model, {"x": pixels.astype(dtype)}, y, _scores(False))


def uint8_input() -> Built:
    """Pixels as they are, uint8."""
    return _pixels("uint8")


def pixels() -> Built:
    """Pixels from 0 to 255 as float32."""
    return _pixels("float32")


def two_inputs() -> Built:
    """An image, and a token that turns the classes."""
    x, y = images()
    token = np.random.default_rng(2).integers(0, 3, (len(x), 1)).astype(np.int32)
    image, number = K.Input(SHAPE, name="image"), K.Input((1,), dtype="int32", name="token")
    h = L.Concatenate()([_trunk(image), L.Flatten()(L.Embedding(3, 4)(number))])
    model = K.Model([image, number], L.Dense(CLASSES)(L.Dense(32, activation="relu")(h)))
    return _built(model, {"image": x, "token": token}, (y + token[:, 0]) % CLASSES, _scores(), epochs=30)


BUILDERS: dict[str, Callable[[], Built]] = {
    builder.__name__: builder
    for builder in (
        scores, binary, binary_logit, regression, landmarks, one_hot, several_labels, segmentation,
        fully_convolutional, two_outputs, dictionary_output, lstm, gru, stream, tokens, uint8_input, pixels, two_inputs,
    )
}  # fmt: skip
"""By name."""


@functools.cache
def built(name: str) -> Built:
    """Returns a model of the zoo and its data, built once per session."""
    tf.keras.utils.set_random_seed(3)
    return BUILDERS[name]()


def converted(model: tf.keras.Model, calibration: Arrays | None = None) -> bytes:
    """Returns what TensorFlow's converter makes of a model: float32, or int8 with calibration inputs by name."""

    @tf.function
    def run(**inputs: tf.Tensor) -> tf.Tensor:
        return model([inputs[name] for name in names] if len(names) > 1 else inputs[names[0]], training=False)

    names = [each.name for each in model.inputs]
    specs = {each.name: tf.TensorSpec((1, *each.shape[1:]), each.dtype, name=each.name) for each in model.inputs}
    converter = tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function(**specs)], model)
    converter.experimental_enable_resource_variables = True
    if calibration is not None:
        details = tf.lite.Interpreter(model_content=converted(model)).get_input_details()
        order = [each["name"].removeprefix("serving_default_").partition(":")[0] for each in details]
        columns = [calibration.get(name, calibration.get("x")) for name in order]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([each[n : n + 1] for each in columns] for n in range(100))
        if all(each.dtype == tf.float32 for each in model.inputs):
            converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    return converter.convert()


def bare(path: object, inputs: Arrays, *, anew: bool = False, runtime: str = "tensorflow") -> list[np.ndarray]:
    """Returns all outputs of a bare interpreter, an example at a time, each (examples, ...), dequantised.

    Args:
        path: A .tflite file.
        inputs: By name, or `x` for an input without an array of its name.
        anew: Whether it is loaded anew for every example, so that it has no state.
        runtime: A distribution that has an interpreter, such as `ai-edge-litert`.
    """
    rows: list[list[np.ndarray]] = []
    for number in range(len(next(iter(inputs.values())))):
        if anew or not number:
            run = _BARE[runtime](str(path))
        rows.append(run({name: values[number : number + 1] for name, values in inputs.items()}))
    return [np.array([row[number] for row in rows]) for number in range(len(rows[0]))]


def _codes(values: np.ndarray, scale: float, zero: int, dtype: Any) -> np.ndarray:
    if scale and values.dtype == np.float32:
        limits = np.iinfo(dtype)
        values = np.clip(np.round(values / np.float32(scale)) + zero, limits.min, limits.max)
    return values.astype(dtype)


def _linux(interpreter_class: Any) -> Callable[[str], Callable[[Arrays], list[np.ndarray]]]:
    def opened(path: str) -> Callable[[Arrays], list[np.ndarray]]:
        interpreter = interpreter_class(path, num_threads=1)
        interpreter.allocate_tensors()

        def run(example: Arrays) -> list[np.ndarray]:
            for details in interpreter.get_input_details():
                name = details["name"].removeprefix("serving_default_").partition(":")[0]
                values = example[name if name in example else "x"]
                interpreter.set_tensor(details["index"], _codes(values, *details["quantization"], details["dtype"]))
            interpreter.invoke()
            found = [(interpreter.get_tensor(each["index"])[0], *each["quantization"]) for each in outputs]
            return [(values.astype(np.float32) - zero) * scale if scale else values for values, scale, zero in found]

        outputs = interpreter.get_output_details()
        return run

    return opened


def _micro(path: str) -> Callable[[Arrays], list[np.ndarray]]:
    """TFLM's interpreter, which knows inputs and outputs by their number; names and quantisation are read elsewhere."""
    from tflite_micro import runtime

    content = Path(path).read_bytes()
    described = tf.lite.Interpreter(model_content=expand_tables(content))
    inputs, outputs = described.get_input_details(), described.get_output_details()
    interpreter = runtime.Interpreter.from_bytes(content)

    def run(example: Arrays) -> list[np.ndarray]:
        for number, details in enumerate(inputs):
            name = details["name"].removeprefix("serving_default_").partition(":")[0]
            values = example[name if name in example else "x"]
            interpreter.set_input(_codes(values, *details["quantization"], details["dtype"]), number)
        interpreter.invoke()
        found = [(np.array(interpreter.get_output(n))[0], *each["quantization"]) for n, each in enumerate(outputs)]
        return [(values.astype(np.float32) - zero) * scale if scale else values for values, scale, zero in found]

    return run


_BARE = {
    "tensorflow": _linux(tf.lite.Interpreter),
    "ai-edge-litert": _linux(ai_edge_litert.interpreter.Interpreter),
    "tflite-runtime": _linux(tflite_runtime.interpreter.Interpreter),
    "tflite-micro": _micro,
}


def sabotaged(model: tf.keras.Model, how: str) -> tf.keras.Model:
    """Returns a copy of a model that computes something else.

    Args:
        model: A functional model.
        how: `negated` weights; `turned`, the weights of the heads alone negated, which shows where an even number of
            linear layers hides the former; or `permuted` classes; the only value of an output is reflected.
    """
    copy = K.models.clone_model(model)
    weights = model.get_weights()
    if how == "negated":
        copy.set_weights([-each if each.ndim != 1 else each for each in weights])
        return copy
    copy.set_weights(weights)
    if how == "turned":
        for head in map(copy.get_layer, copy.output_names):
            head.set_weights([-each if each.ndim != 1 else each for each in head.get_weights()])
        return copy
    swapped = [
        tf.gather(each, [1, 0, *range(2, each.shape[-1])], axis=-1) if each.shape[-1] > 1 else 1 - each
        for each in copy.outputs
    ]
    structure = tf.nest.pack_sequence_as(copy.output, swapped) if len(swapped) > 1 else swapped[0]
    return K.Model(copy.inputs, structure)
