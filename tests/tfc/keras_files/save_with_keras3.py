"""Saves models with Keras 3, inputs and outputs beside them. Runs in an environment of its own, without TensorFlow.

Usage: KERAS_BACKEND=jax python save_with_keras3.py FOLDER
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers as k

OUT = Path(sys.argv[1])


def images():
    x = inputs = keras.Input((12, 12, 3), name="pictures")
    x = k.Rescaling(2.0, offset=-0.5)(x)
    x = k.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x)
    x = k.Conv2D(4, 3, padding="same", activation="silu", kernel_regularizer=keras.regularizers.L2(1e-4))(x)
    x = k.ReLU(6.0)(k.BatchNormalization(epsilon=0.01)(x))
    x = k.SpatialDropout2D(0.2)(k.Dropout(0.2, seed=3)(x))
    x = k.AlphaDropout(0.1)(k.GaussianDropout(0.1)(k.GaussianNoise(0.1)(x)))
    x = k.LeakyReLU(negative_slope=0.1)(k.DepthwiseConv2D(3, depth_multiplier=2)(x))
    x = k.PReLU(shared_axes=[1, 2])(k.SeparableConv2D(6, 3, padding="same")(x))
    x = k.ELU(alpha=0.7)(k.Conv2DTranspose(4, 3, strides=2, padding="same")(x))
    x = k.LayerNormalization()(k.GroupNormalization(groups=2)(x))
    x = k.Activation("gelu")(k.LayerNormalization(axis=[2, 3])(x))
    x = k.UpSampling2D(2, interpolation="bilinear")(k.Cropping2D(((1, 2), (2, 1)))(k.ZeroPadding2D(1)(x)))
    x = k.AveragePooling2D(2, padding="same")(k.MaxPooling2D(2)(x))
    a, b = k.Conv2D(4, 1)(x), k.Conv2D(4, 3, dilation_rate=2, padding="same", groups=2)(x)
    x = k.Multiply()([k.Add()([a, b]), b])
    x = k.Concatenate()([x, k.Maximum()([a, b]), k.Subtract()([a, b]), k.Softmax()(a), k.Minimum()([a, b])])
    x = x + 1.0
    x = keras.ops.relu(x) * x - 0.25
    # Nested twice, called twice, and with layers of the same classes as outside.
    head = keras.Sequential(
        [keras.Input((20,)), k.Dense(8, activation=keras.activations.tanh), k.Dense(5)], name="head"
    )
    outer_in = keras.Input((20,))
    outer = keras.Model(outer_in, k.UnitNormalization()(head(outer_in)) + head(outer_in), name="outer")
    both = [outer(k.GlobalAveragePooling2D()(x)), outer(k.GlobalMaxPooling2D()(x))]
    x = k.Dense(7)(k.Average()(both))
    return keras.Model(inputs, k.Dense(4, name="logits")(k.Identity()(x)))


def sequences():
    x = inputs = keras.Input((10,), dtype="int32")
    x = k.Embedding(20, 8, mask_zero=True)(x)
    x = k.LSTM(5, return_sequences=True)(x)
    x = k.GRU(6, return_sequences=True)(x)
    x = k.GRU(6, return_sequences=True, reset_after=False)(x)
    x = k.Bidirectional(k.LSTM(4, return_sequences=True))(x)
    x = k.Bidirectional(
        k.GRU(3, return_sequences=True),
        merge_mode="sum",
        backward_layer=k.LSTM(3, return_sequences=True, go_backwards=True),
    )(x)
    x = k.SimpleRNN(4, return_sequences=True, activation="relu")(x)
    return keras.Model(inputs, k.Dense(3)(k.Bidirectional(k.SimpleRNN(4))(x)))


def signals():
    x = inputs = keras.Input((24, 3))
    x = k.Conv1D(8, 3, padding="causal", activation="relu")(x)
    x = k.SeparableConv1D(8, 3, padding="same")(x)
    x = k.DepthwiseConv1D(3, padding="same")(x)
    x = k.Conv1DTranspose(8, 3, strides=2, padding="same")(x)
    x = k.Cropping1D(1)(k.ZeroPadding1D(2)(x))
    x = k.UpSampling1D(2)(k.AveragePooling1D(2)(k.MaxPooling1D(2)(x)))
    x = k.SpatialDropout1D(0.1)(x)
    x = x + k.MultiHeadAttention(2, 4, dropout=0.1)(x, x)
    x = k.LayerNormalization()(x)
    x = k.Add()([x, k.MultiHeadAttention(2, 3, use_bias=False)(query=x, value=x, key=x, use_causal_mask=True)])
    x = k.TimeDistributed(k.Dense(6))(x)
    x = k.TimeDistributed(k.BatchNormalization())(x)
    x = k.Permute((2, 1))(x)
    pooled = k.Concatenate()([k.GlobalAveragePooling1D()(x), k.GlobalMaxPooling1D()(x)])
    x = k.Flatten()(k.Reshape((-1, 4))(k.RepeatVector(4)(pooled)))
    x = k.Dense(8)(k.Dot(axes=1)([x, x]))
    return keras.Model(inputs, k.Dense(3)(x))


def adapted():
    statistics = k.Normalization()
    statistics.adapt(np.random.default_rng(3).normal(2, 3, (50, 6)))
    frozen = k.Dense(7, name="frozen")
    frozen.trainable = False
    return keras.Sequential([keras.Input((6,)), statistics, frozen, k.ReLU(), k.Dense(3)])


def masked():
    x = inputs = keras.Input((7, 2))
    x = k.LSTM(4, return_sequences=True)(k.Masking(mask_value=0.0)(x))
    return keras.Model(inputs, k.Dense(2)(k.LSTM(3)(x)))


def small():
    x = inputs = keras.Input((8, 8, 1))
    x = k.ReLU()(k.BatchNormalization(momentum=0.9)(k.Conv2D(8, 3, padding="same", use_bias=False)(x)))
    x = x + k.Conv2D(8, 3, padding="same")(x)
    return keras.Model(inputs, k.Dense(4)(k.GlobalAveragePooling2D()(x)))


def main():
    random = np.random.default_rng(0)
    for number, make in enumerate((images, sequences, signals, adapted, masked, small)):
        keras.utils.set_random_seed(number)
        model = make()
        statistics = [w for layer in model.layers if isinstance(layer, k.Normalization) for w in layer.weights]
        for weight in model.weights:
            if "seed" in weight.path or any(weight is each for each in statistics):
                continue
            values = random.normal(0, 0.4, weight.shape)
            weight.assign(abs(values) + 0.5 if "variance" in weight.path else values)
        shape = (5, *model.input_shape[1:])
        if make is sequences:
            x = random.integers(1, 20, shape).astype(np.int32)
            x[:, 6:] *= random.integers(0, 2, (5, 1)).astype(np.int32)  # masks of two lengths
        else:
            x = random.normal(size=shape).astype(np.float32)
        if make is masked:
            x[:2, 4:] = 0
        model.compile("adam", "mse")
        model.save(OUT / f"{make.__name__}.keras")
        y = np.asarray(model(x, training=False))
        np.savez(OUT / f"{make.__name__}.npz", x=x, y=y, trainable=len(model.trainable_weights))


main()
