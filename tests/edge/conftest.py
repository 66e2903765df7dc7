"""A small palettized model and everything that can be made of it, once per session."""

import numpy as np
import pytest
from palettized_models import SHAPE, plain

from edge.conversion.variants import export
from edge.measuring.remote import build_wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """This package's wheel."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A folder with model.keras, calibration.npz, test.npz and all variants."""
    folder = tmp_path_factory.mktemp("exported")
    model = plain()
    model.save(folder / "model.keras")
    rng = np.random.default_rng(0)
    np.savez(folder / "calibration.npz", x=rng.random((100, *SHAPE), np.float32))
    x = rng.random((60, *SHAPE), np.float32)
    np.savez(folder / "test.npz", x=x, y=model(x).numpy().argmax(axis=1))
    export(folder / "model.keras", folder, ("f32", "wo8", "int8", "lut", "packed"))
    return folder
