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
    "AggregationFactory": "tfc.methods.tff_aggregators",
    "ModelFn": "tfc.federated.model_spec",
    "register_method": "tfc.federated.method",
    "BroadcastTracker": "tfc.federated.broadcast_tracker",
    "Shipment": "tfc.federated.broadcast_tracker",
    "Builder": "tfc.federated.method",
    "client_data": "tfc.federated.client_data",
    "client_data_type": "tfc.federated.client_data",
    "ClientFlags": "tfc.federated.client_data",
    "as_dataset": "tfc.data.in_memory",
    "ClientExamples": "tfc.data.partition",
    "procedural_images": "tfc.data.ood",
    "OodFn": "tfc.data.ood_pipeline",
    "local_worker": "tfc.workers.local",
    "WorkerProcess": "tfc.workers.local",
    "WorkerReport": "tfc.workers.launcher",
    "load": "tfc.config.loading",
    "ExperimentConfig": "tfc.config.keys",
    "DataConfig": "tfc.config.keys",
    "ModelConfig": "tfc.config.keys",
    "TrainingConfig": "tfc.config.keys",
    "ClusteringConfig": "tfc.config.keys",
    "CommunicationConfig": "tfc.config.keys",
    "ServerConfig": "tfc.config.keys",
    "ServerOptimizerConfig": "tfc.config.keys",
    "NetworkConfig": "tfc.config.keys",
    "FaultsConfig": "tfc.config.keys",
    "load_dataset": "tfc.simulation.configured_data",
    "Dataset": "tfc.data.dataset",
    "run": "tfc.simulation.loop",
    "read_run": "tfc.simulation.folder",
    "FinishedRun": "tfc.simulation.folder",
    "RoundMetrics": "tfc.simulation.round_metrics",
    "accuracy_per_megabyte": "tfc.report.figures",
    "clusters_and_quality": "tfc.report.figures",
    "encode": "tfc.codec.message_encoding",
    "encode_seed": "tfc.codec.message_encoding",
    "decode": "tfc.codec.message_decoding",
    "Message": "tfc.codec.message_spec",
    "MessageSpec": "tfc.codec.message_spec",
    "Kind": "tfc.codec.message_spec",
    "InitialValue": "tfc.codec.message_spec",
    "ReferenceModel": "tfc.codec.message_spec",
    "Decoded": "tfc.codec.message_spec",
    "Palette": "tfc.codec.palette",
    "FedCompressError": "tfc.base.errors",
    "TfcError": "tfc.base.errors",
    "ConfigError": "tfc.base.errors",
    "DataError": "tfc.base.errors",
    "RunError": "tfc.base.errors",
    "RunInterruptedError": "tfc.base.errors",
    "WorkerError": "tfc.base.errors",
    "CodecError": "tfc.base.errors",
}
"""Public names, and the modules that have them: docs/api.md."""

__all__ = [*_PUBLIC, "__version__"]

if TYPE_CHECKING:  # what a type checker and an editor see
    from tfc.base.errors import CodecError as CodecError
    from tfc.base.errors import ConfigError as ConfigError
    from tfc.base.errors import DataError as DataError
    from tfc.base.errors import FedCompressError as FedCompressError
    from tfc.base.errors import RunError as RunError
    from tfc.base.errors import RunInterruptedError as RunInterruptedError
    from tfc.base.errors import TfcError as TfcError
    from tfc.base.errors import WorkerError as WorkerError
    from tfc.codec.message_decoding import decode as decode
    from tfc.codec.message_encoding import encode as encode
    from tfc.codec.message_encoding import encode_seed as encode_seed
    from tfc.codec.message_spec import Decoded as Decoded
    from tfc.codec.message_spec import InitialValue as InitialValue
    from tfc.codec.message_spec import Kind as Kind
    from tfc.codec.message_spec import Message as Message
    from tfc.codec.message_spec import MessageSpec as MessageSpec
    from tfc.codec.message_spec import ReferenceModel as ReferenceModel
    from tfc.codec.palette import Palette as Palette
    from tfc.config.keys import ClusteringConfig as ClusteringConfig
    from tfc.config.keys import CommunicationConfig as CommunicationConfig
    from tfc.config.keys import DataConfig as DataConfig
    from tfc.config.keys import ExperimentConfig as ExperimentConfig
    from tfc.config.keys import FaultsConfig as FaultsConfig
    from tfc.config.keys import ModelConfig as ModelConfig
    from tfc.config.keys import NetworkConfig as NetworkConfig
    from tfc.config.keys import ServerConfig as ServerConfig
    from tfc.config.keys import ServerOptimizerConfig as ServerOptimizerConfig
    from tfc.config.keys import TrainingConfig as TrainingConfig
    from tfc.config.loading import load as load
    from tfc.data.dataset import Dataset as Dataset
    from tfc.data.in_memory import as_dataset as as_dataset
    from tfc.data.ood import procedural_images as procedural_images
    from tfc.data.ood_pipeline import OodFn as OodFn
    from tfc.data.partition import ClientExamples as ClientExamples
    from tfc.federated.broadcast_tracker import BroadcastTracker as BroadcastTracker
    from tfc.federated.broadcast_tracker import Shipment as Shipment
    from tfc.federated.client_data import ClientFlags as ClientFlags
    from tfc.federated.client_data import client_data as client_data
    from tfc.federated.client_data import client_data_type as client_data_type
    from tfc.federated.method import Builder as Builder
    from tfc.federated.method import register_method as register_method
    from tfc.federated.model_spec import ModelFn as ModelFn
    from tfc.methods.fedavg import build_fedavg as build_fedavg
    from tfc.methods.fedcompress import build_fedcompress as build_fedcompress
    from tfc.methods.tff_aggregators import AggregationFactory as AggregationFactory
    from tfc.methods.tff_aggregators import build_aggregated as build_aggregated
    from tfc.registries import METHODS as METHODS
    from tfc.report.figures import accuracy_per_megabyte as accuracy_per_megabyte
    from tfc.report.figures import clusters_and_quality as clusters_and_quality
    from tfc.simulation.configured_data import load_dataset as load_dataset
    from tfc.simulation.folder import FinishedRun as FinishedRun
    from tfc.simulation.folder import read_run as read_run
    from tfc.simulation.loop import run as run
    from tfc.simulation.round_metrics import RoundMetrics as RoundMetrics
    from tfc.workers.launcher import WorkerReport as WorkerReport
    from tfc.workers.local import WorkerProcess as WorkerProcess
    from tfc.workers.local import local_worker as local_worker
else:
    __getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
