"""Log-mel features: the audio front end.

Features are computed once, when a data set is loaded. One second is then 98 x 40 float32 = 15,680 bytes, half of its
32,000 bytes of int16 samples, no client repeats the work each round, and an exported model takes the same features as
its input, which a device's own front end computes.

Sources: the parameters of the paper (frame 400, hop 160, FFT 1024, 60-7800 Hz, 40 bins, 16 kHz); Hann window, magnitude
spectrum, HTK's mel scale and the offset in front of the logarithm as in YAMNet (TensorFlow Model Garden,
research/audioset).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

SAMPLE_RATE = 16_000
"""Samples per second."""
FRAME_LENGTH = 400
"""Samples of one frame: 25 ms."""
FRAME_STEP = 160
"""Samples from frame to frame: 10 ms."""
FFT_LENGTH = 1024
LOWEST_HZ, HIGHEST_HZ = 60.0, 7800.0
BINS = 40
LOG_OFFSET = 1e-3

_CLIPS_AT_A_TIME = 128


def num_frames(num_samples: int) -> int:
    """Returns the frames of a clip; an incomplete last one is left out.

    Args:
        num_samples: Samples of the clip.
    """
    return max(0, 1 + (num_samples - FRAME_LENGTH) // FRAME_STEP)


def num_samples(num_frames: int) -> int:
    """Returns the fewest samples that make so many frames.

    Args:
        num_frames: Frames, at least 1.
    """
    return FRAME_LENGTH + (num_frames - 1) * FRAME_STEP


@functools.cache
def _matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the windowed Fourier transform as two matrices, cosines and sines, and the mel weights.

    A frame has 400 samples and the FFT 1024 places, of which the weights use 496; on a CPU TensorFlow's FFT takes
    many times as long as these products.
    """
    hertz = np.arange(FFT_LENGTH // 2 + 1) * SAMPLE_RATE / FFT_LENGTH
    edges = np.linspace(_mel(np.array(LOWEST_HZ)), _mel(np.array(HIGHEST_HZ)), BINS + 2)
    mels = _mel(hertz)[:, None]
    rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    used = np.flatnonzero(weights.any(axis=1))
    samples = np.arange(FRAME_LENGTH)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * samples / FRAME_LENGTH)
    angles = 2 * np.pi * np.outer(samples, used) / FFT_LENGTH
    transforms = (window[:, None] * np.cos(angles), window[:, None] * np.sin(angles))
    return transforms[0].astype(np.float32), transforms[1].astype(np.float32), weights[used].astype(np.float32)


def _mel(hertz: np.ndarray) -> np.ndarray:
    """HTK's mel scale."""
    return np.asarray(1127.0 * np.log1p(hertz / 700.0))


def log_mel(waveforms: tf.Tensor) -> tf.Tensor:
    """Computes log-mel features in TensorFlow ops that run anywhere, TFF's worker included.

    Args:
        waveforms: float32 (clips, samples); -1 to 1 is full scale.

    Returns:
        float32 (clips, frames, `BINS`, 1): log(mel-weighted magnitudes + `LOG_OFFSET`).
    """
    cosines, sines, weights = _matrices()
    frames = tf.signal.frame(waveforms, FRAME_LENGTH, FRAME_STEP)
    flat = tf.reshape(frames, [-1, FRAME_LENGTH])
    magnitudes = tf.sqrt(tf.square(tf.matmul(flat, cosines)) + tf.square(tf.matmul(flat, sines)))
    mels = tf.math.log(tf.matmul(magnitudes, weights) + LOG_OFFSET)
    return tf.reshape(mels, [tf.shape(frames)[0], tf.shape(frames)[1], BINS, 1])


def features(clips: Iterable[np.ndarray], length: int) -> np.ndarray:
    """Returns the log-mel features of clips, few of which are in memory at a time.

    Args:
        clips: int16, each of shape (length,).
        length: Samples of each clip.

    Returns:
        float32 (clips, frames, `BINS`, 1).
    """
    stream = iter(clips)
    parts = [np.zeros((0, num_frames(length), BINS, 1), np.float32)]
    while part := list(itertools.islice(stream, _CLIPS_AT_A_TIME)):
        parts.append(log_mel(tf.constant(np.stack(part) / np.float32(32768.0))).numpy())
    return np.concatenate(parts)
