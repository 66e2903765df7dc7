"""Export of palettized models to TFLite, and their measurement on devices.

Importing this package needs NumPy alone and is cheap. `export` and `prepare` need TensorFlow; what runs models needs a
TFLite interpreter; the rest needs nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfc.base.lazy_exports import lazy_names

_PUBLIC = {
    "export": "edge.conversion.variants",
    "Exported": "edge.conversion.variants",
    "KernelFate": "edge.conversion.kernel_fates",
    "KernelPalette": "edge.conversion.palettization",
    "PaletteSettings": "edge.conversion.palette_budget",
    "PaletteMethod": "edge.palettes.palettize",
    "SweepPoint": "edge.conversion.palette_sweep",
    "prepare": "edge.conversion.clustering",
    "ClusterSettings": "edge.conversion.clustering",
    "inspect": "edge.formats.inspection",
    "format_inspection": "edge.formats.inspection",
    "TfliteView": "edge.formats.tflite_reader",
    "TensorView": "edge.formats.tflite_reader",
    "OperatorView": "edge.formats.tflite_reader",
    "KernelView": "edge.formats.tflite_reader",
    "pack": "edge.formats.packing",
    "unpack": "edge.formats.packing",
    "make_patch": "edge.formats.patch",
    "apply_patch": "edge.formats.patch",
    "bench_files": "edge.measuring.bench",
    "read_bench": "edge.measuring.bench_result",
    "BenchSettings": "edge.measuring.interleaving",
    "Progress": "edge.measuring.interleaving",
    "format_bench": "edge.measuring.bench_table",
    "format_comparison": "edge.measuring.bench_table",
    "verify": "edge.running.verification",
    "VerifySettings": "edge.running.verification",
    "Comparison": "edge.running.output_comparison",
    "Quality": "edge.formats.judgement",
    "format_verification": "edge.running.verification",
    "firmware_bundle": "edge.firmware.bundle",
    "Bundle": "edge.firmware.bundle",
    "find_runtime": "edge.running.runtime",
    "Runtime": "edge.running.runtime",
    "TfliteModel": "edge.running.loaded_model",
    "InterpreterOptions": "edge.running.interpreters",
    "Interpreter": "edge.running.interpreters",
    "Boundary": "edge.formats.boundaries",
    "EdgeError": "tfc.base.errors",
    "ModelFileError": "tfc.base.errors",
    "DataFileError": "tfc.base.errors",
    "RuntimeMissingError": "tfc.base.errors",
}
"""Public names, and the modules that have them: docs/api.md."""

__all__ = [*_PUBLIC]

if TYPE_CHECKING:  # what a type checker and an editor see
    from edge.conversion.clustering import ClusterSettings as ClusterSettings
    from edge.conversion.clustering import prepare as prepare
    from edge.conversion.kernel_fates import KernelFate as KernelFate
    from edge.conversion.palette_budget import PaletteSettings as PaletteSettings
    from edge.conversion.palette_sweep import SweepPoint as SweepPoint
    from edge.conversion.palettization import KernelPalette as KernelPalette
    from edge.conversion.variants import Exported as Exported
    from edge.conversion.variants import export as export
    from edge.firmware.bundle import Bundle as Bundle
    from edge.firmware.bundle import firmware_bundle as firmware_bundle
    from edge.formats.boundaries import Boundary as Boundary
    from edge.formats.inspection import format_inspection as format_inspection
    from edge.formats.inspection import inspect as inspect
    from edge.formats.judgement import Quality as Quality
    from edge.formats.packing import pack as pack
    from edge.formats.packing import unpack as unpack
    from edge.formats.patch import apply_patch as apply_patch
    from edge.formats.patch import make_patch as make_patch
    from edge.formats.tflite_reader import KernelView as KernelView
    from edge.formats.tflite_reader import OperatorView as OperatorView
    from edge.formats.tflite_reader import TensorView as TensorView
    from edge.formats.tflite_reader import TfliteView as TfliteView
    from edge.measuring.bench import bench_files as bench_files
    from edge.measuring.bench_result import read_bench as read_bench
    from edge.measuring.bench_table import format_bench as format_bench
    from edge.measuring.bench_table import format_comparison as format_comparison
    from edge.measuring.interleaving import BenchSettings as BenchSettings
    from edge.measuring.interleaving import Progress as Progress
    from edge.palettes.palettize import PaletteMethod as PaletteMethod
    from edge.running.interpreters import Interpreter as Interpreter
    from edge.running.interpreters import InterpreterOptions as InterpreterOptions
    from edge.running.loaded_model import TfliteModel as TfliteModel
    from edge.running.output_comparison import Comparison as Comparison
    from edge.running.runtime import Runtime as Runtime
    from edge.running.runtime import find_runtime as find_runtime
    from edge.running.verification import VerifySettings as VerifySettings
    from edge.running.verification import format_verification as format_verification
    from edge.running.verification import verify as verify
    from tfc.base.errors import DataFileError as DataFileError
    from tfc.base.errors import EdgeError as EdgeError
    from tfc.base.errors import ModelFileError as ModelFileError
    from tfc.base.errors import RuntimeMissingError as RuntimeMissingError
else:
    __getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
