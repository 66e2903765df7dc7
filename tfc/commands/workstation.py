"""What most commands need: TensorFlow, TFF and tfmot, which devices do not have."""

from __future__ import annotations

import importlib.util

from tfc.base.errors import RunError

INSTALL = (
    "run 'pip install --no-deps -r requirements.txt' in a Python 3.11 environment on x86-64 Linux "
    "(or 'make setup' in a clone)"
)
"""What to do where a package is missing."""

_PACKAGES = ("tensorflow", "tensorflow_federated", "tensorflow_model_optimization")


def require_workstation() -> None:
    """Refuses where a package is missing, before anything slow is imported.

    Raises:
        RunError: If it is; names all that are.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise RunError(f"{', '.join(missing)} not installed: {INSTALL}")
