"""Federated learning with weight clustering: small messages, small models.

Importing this package is cheap; TensorFlow starts only when a name below needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfc.base.lazy_exports import lazy_names
from tfc.base.version import __version__ as __version__

_PUBLIC = {
    "METHODS": "tfc.registries",
    "build_aggregated": "tfc.methods.tff_aggregators",
    "build_fedavg": "tfc.methods.fedavg",
    "build_fedcompress": "tfc.methods.fedcompress",
    "client_data": "tfc.federated.client_data",
    "client_data_type": "tfc.federated.client_data",
    "as_dataset": "tfc.data.in_memory",
    "ClientExamples": "tfc.data.partition",
    "local_worker": "tfc.workers.local",
    "load": "tfc.config.loading",
    "load_dataset": "tfc.run.experiment",
    "procedural_images": "tfc.data.ood",
    "run": "tfc.run.loop",
    "read_run": "tfc.run.folder",
    "accuracy_per_megabyte": "tfc.report.figures",
    "clusters_and_quality": "tfc.report.figures",
    "encode": "tfc.codec.message",
    "decode": "tfc.codec.message",
    "Message": "tfc.codec.message_spec",
    "MessageSpec": "tfc.codec.message_spec",
    "ReferenceModel": "tfc.codec.message_spec",
    "Palette": "tfc.codec.palette",
    "CodecError": "tfc.base.errors",
    "TfcError": "tfc.base.errors",
}
"""Public names, and the modules that have them: docs/api.md."""

__all__ = [*_PUBLIC, "__version__"]

if TYPE_CHECKING:  # what a type checker and an editor see
    from tfc.base.errors import CodecError as CodecError
    from tfc.base.errors import TfcError as TfcError
    from tfc.codec.message import decode as decode
    from tfc.codec.message import encode as encode
    from tfc.codec.message_spec import Message as Message
    from tfc.codec.message_spec import MessageSpec as MessageSpec
    from tfc.codec.message_spec import ReferenceModel as ReferenceModel
    from tfc.codec.palette import Palette as Palette
    from tfc.config import load as load
    from tfc.data.in_memory import as_dataset as as_dataset
    from tfc.data.ood import procedural_images as procedural_images
    from tfc.data.partition import ClientExamples as ClientExamples
    from tfc.federated.client_data import client_data as client_data
    from tfc.federated.client_data import client_data_type as client_data_type
    from tfc.methods.fedavg import build_fedavg as build_fedavg
    from tfc.methods.fedcompress import build_fedcompress as build_fedcompress
    from tfc.methods.tff_aggregators import build_aggregated as build_aggregated
    from tfc.registries import METHODS as METHODS
    from tfc.report.figures import accuracy_per_megabyte as accuracy_per_megabyte
    from tfc.report.figures import clusters_and_quality as clusters_and_quality
    from tfc.run.experiment import load_dataset as load_dataset
    from tfc.run.folder import read_run as read_run
    from tfc.run.loop import run as run
    from tfc.workers.local import local_worker as local_worker
else:
    __getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
