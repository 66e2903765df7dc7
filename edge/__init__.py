"""Export of palettized models to TFLite, and their measurement on devices.

Importing this package needs NumPy alone and is cheap. `export` and `prepare` need TensorFlow; what runs models needs a
TFLite interpreter; the rest needs nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfc.lazy_names import lazy_names

_PUBLIC = {
    "export": "edge.conversion.variants",
    "prepare": "edge.conversion.clustering",
    "ClusterSettings": "edge.conversion.clustering",
    "inspect": "edge.inspection",
    "format_inspection": "edge.inspection",
    "TfliteView": "edge.tflite_reader",
    "verify": "edge.verification",
    "format_verification": "edge.verification",
    "VerifySettings": "edge.verification",
    "bench_files": "edge.bench",
    "BenchSettings": "edge.interleaving",
    "read_bench": "edge.bench",
    "format_bench": "edge.bench_table",
    "format_comparison": "edge.bench_table",
    "pack": "edge.packing",
    "unpack": "edge.packing",
    "make_patch": "edge.patch",
    "apply_patch": "edge.patch",
    "TfliteModel": "edge.runtime",
    "find_runtime": "edge.runtime",
    "EdgeError": "edge.errors",
}
"""Public names, and the modules that have them: docs/api.md."""

__all__ = [*_PUBLIC]

if TYPE_CHECKING:  # what a type checker and an editor see
    from edge.bench import bench_files as bench_files
    from edge.bench import read_bench as read_bench
    from edge.bench_table import format_bench as format_bench
    from edge.bench_table import format_comparison as format_comparison
    from edge.conversion.clustering import ClusterSettings as ClusterSettings
    from edge.conversion.clustering import prepare as prepare
    from edge.conversion.variants import export as export
    from edge.errors import EdgeError as EdgeError
    from edge.inspection import format_inspection as format_inspection
    from edge.inspection import inspect as inspect
    from edge.interleaving import BenchSettings as BenchSettings
    from edge.packing import pack as pack
    from edge.packing import unpack as unpack
    from edge.patch import apply_patch as apply_patch
    from edge.patch import make_patch as make_patch
    from edge.runtime import TfliteModel as TfliteModel
    from edge.runtime import find_runtime as find_runtime
    from edge.tflite_reader import TfliteView as TfliteView
    from edge.verification import VerifySettings as VerifySettings
    from edge.verification import format_verification as format_verification
    from edge.verification import verify as verify
else:
    __getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
