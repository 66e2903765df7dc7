"""Federated learning with weight clustering: small messages, small models.

Importing this package is cheap; TensorFlow starts only when a name below needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfc.lazy_names import lazy_names

__version__ = "0.1.0"

_PUBLIC = {
    "METHODS": "tfc.federated.process",
    "build_aggregated": "tfc.federated.aggregated_process",
    "build_fedavg": "tfc.federated.process",
    "build_fedcompress": "tfc.federated.process",
    "client_data": "tfc.federated.client_data",
    "client_data_type": "tfc.federated.client_data",
    "ClientExamples": "tfc.data.partition",
    "local_worker": "tfc.workers",
    "load": "tfc.config",
    "load_dataset": "tfc.experiment",
    "procedural_images": "tfc.data.ood",
    "run": "tfc.simulation",
    "read_run": "tfc.run_folder",
    "accuracy_per_megabyte": "tfc.figures",
    "clusters_and_quality": "tfc.figures",
    "encode": "tfc.codec.message",
    "decode": "tfc.codec.message",
    "Message": "tfc.codec.message_spec",
    "MessageSpec": "tfc.codec.message_spec",
    "HeldModel": "tfc.codec.message_spec",
    "Palette": "tfc.codec.palette",
    "CodecError": "tfc.codec.message_spec",
    "TfcError": "tfc.errors",
}
"""Public names, and the modules that have them: docs/api.md."""

__all__ = [*_PUBLIC, "__version__"]

if TYPE_CHECKING:  # what a type checker and an editor see
    from tfc.codec.message import decode as decode
    from tfc.codec.message import encode as encode
    from tfc.codec.message_spec import CodecError as CodecError
    from tfc.codec.message_spec import HeldModel as HeldModel
    from tfc.codec.message_spec import Message as Message
    from tfc.codec.message_spec import MessageSpec as MessageSpec
    from tfc.codec.palette import Palette as Palette
    from tfc.config import load as load
    from tfc.data.ood import procedural_images as procedural_images
    from tfc.data.partition import ClientExamples as ClientExamples
    from tfc.errors import TfcError as TfcError
    from tfc.experiment import load_dataset as load_dataset
    from tfc.federated.aggregated_process import build_aggregated as build_aggregated
    from tfc.federated.client_data import client_data as client_data
    from tfc.federated.client_data import client_data_type as client_data_type
    from tfc.federated.process import METHODS as METHODS
    from tfc.federated.process import build_fedavg as build_fedavg
    from tfc.federated.process import build_fedcompress as build_fedcompress
    from tfc.figures import accuracy_per_megabyte as accuracy_per_megabyte
    from tfc.figures import clusters_and_quality as clusters_and_quality
    from tfc.run_folder import read_run as read_run
    from tfc.simulation import run as run
    from tfc.workers import local_worker as local_worker
else:
    __getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
