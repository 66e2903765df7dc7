"""Kinds of inputs: which shapes and types each takes, and its final type; `tfc.registries.INPUT_KINDS` names them.

An array (examples, height, width) of images and one (examples, steps, features) of sequences look alike, so nothing is
guessed from values: `data.kind` says it, and `auto` goes by the number of axes alone.
"""

from __future__ import annotations

import logging

import numpy as np

from tfc.base.errors import DataError

AUTO = "auto"
IMAGE, SEQUENCE, TABLE, TOKENS = "image", "sequence", "table", "tokens"
LOG_MEL = "log-mel"
"""Kind of the audio data sets; arrays of log-mel features that a user brings are images or sequences."""

LARGEST_TOKEN = 2**24
"""Models take tokens as float32, which counts exactly up to here."""

_LOG = logging.getLogger(__name__)


def chosen_kind(asked: str, x: np.ndarray, where: str) -> str:
    """Returns the kind of inputs: the one asked for, or by the number of axes.

    Args:
        asked: `data.kind`.
        x: Inputs, shape (examples, ...).
        where: What to call them in an error.

    Raises:
        DataError: If the kind is to be found from the axes and there are neither 2 (tables) nor 3 or 4 (images).
    """
    if asked != AUTO:
        return asked
    if x.ndim not in (2, 3, 4):
        raise DataError(
            f"{where} must have shape (examples, height, width[, channels]) for images or (examples, features) for "
            f"tables, found {x.shape}"
        )
    return TABLE if x.ndim == 2 else IMAGE


def image_inputs(x: np.ndarray, where: str) -> np.ndarray:
    """Returns images (examples, height, width, channels), uint8 or float32; a missing axis of channels is added.

    Args:
        x: Images, shape (examples, height, width[, channels]).
        where: What to call them in an error.

    Raises:
        DataError: If they have another shape, are no numbers, or not finite.
    """
    if x.ndim not in (3, 4):
        raise DataError(f"{where} must have shape (examples, height, width[, channels]), found {x.shape}")
    return _numbers(x if x.ndim == 4 else x[..., None], where)


def sequence_inputs(x: np.ndarray, where: str) -> np.ndarray:
    """Returns sequences (examples, steps, features), uint8 or float32.

    Args:
        x: Sequences, all of the same number of steps.
        where: What to call them in an error.

    Raises:
        DataError: If they have another shape, are no numbers, or not finite.
    """
    if x.ndim != 3:
        raise DataError(f"{where} must have shape (examples, steps, features) for data.kind=sequence, found {x.shape}")
    return _numbers(x, where)


def table_inputs(x: np.ndarray, where: str) -> np.ndarray:
    """Returns rows of features (examples, features), uint8 or float32.

    Args:
        x: Rows.
        where: What to call them in an error.

    Raises:
        DataError: If they have another shape, are no numbers, or not finite.
    """
    if x.ndim != 2:
        raise DataError(f"{where} must have shape (examples, features) for data.kind=table, found {x.shape}")
    return _numbers(x, where)


def token_inputs(x: np.ndarray, where: str) -> np.ndarray:
    """Returns tokens (examples, steps), int32.

    Args:
        x: Integers from 0, all rows of the same number of steps.
        where: What to call them in an error.

    Raises:
        DataError: If they have another shape, are no integers, negative or over `LARGEST_TOKEN`.
    """
    if x.ndim != 2 or not np.issubdtype(x.dtype, np.integer):
        raise DataError(
            f"{where} must be integers of shape (examples, steps) for data.kind=tokens, found {x.dtype} {x.shape}"
        )
    if x.size and not (x.min() >= 0 and x.max() <= LARGEST_TOKEN):
        raise DataError(f"{where} has tokens from {x.min()} to {x.max()}; 0 to {LARGEST_TOKEN} are taken")
    return x.astype(np.int32)


def _numbers(x: np.ndarray, where: str) -> np.ndarray:
    """Returns uint8 as it is, other real numbers as float32."""
    if x.dtype == np.uint8:
        return x
    if x.dtype == object:
        raise DataError(f"{where} is an array of Python objects, not of numbers: its examples may differ in shape")
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.issubdtype(x.dtype, np.complexfloating):
        raise DataError(f"{where} must be numbers, found {x.dtype}")
    with np.errstate(over="ignore"):  # what float32 can't hold is named below
        x = x.astype(np.float32)
    finite = np.isfinite(x)
    if not finite.all():
        row = int(np.argmin(finite.reshape(len(x), -1).all(axis=1)))
        raise DataError(f"{where} holds values that are not finite in float32, the first in row {row}")
    return x


def warn_of_undivided_pixels(x: np.ndarray, where: str) -> None:
    """Logs a warning where float images look like pixels from 0 to 255.

    Args:
        x: Images of their final type.
        where: What to call them.
    """
    if x.dtype != np.uint8 and x.max() > 2 and x.min() >= 0 and (x == np.rint(x)).all():
        _LOG.warning("%s has values up to %g and is not divided: uint8 data would be (by 255)", where, x.max())
