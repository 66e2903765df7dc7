"""Federated learning with weight clustering: small messages, small models.

Importing this package is cheap; TensorFlow starts only when a name below is used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "build_fedavg": "tfc.federated.process",
    "build_fedcompress": "tfc.federated.process",
    "client_data": "tfc.federated.client_data",
    "client_data_type": "tfc.federated.client_data",
    "load": "tfc.config",
    "local_worker": "tfc.workers",
    "procedural_images": "tfc.data.ood",
    "read_run": "tfc.run_folder",
    "run": "tfc.simulation",
    "Palette": "tfc.codec.palette",
    "TfcError": "tfc.errors",
}

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tfc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
