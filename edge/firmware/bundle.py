"""The files of a firmware bundle, as texts: model, boundary, operators, golden examples, a program that checks them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.firmware.c_source import C_TYPES, array_of, bytes_of, guarded, string_literal
from edge.firmware.golden import Golden, golden
from edge.firmware.resolver import operators_of, resolver_methods
from edge.formats.boundaries import Boundary
from edge.formats.packing import read_model_content
from edge.formats.tflite_reader import TfliteView
from tfc.base.clean_text import clean
from tfc.base.errors import EdgeError, ModelFileError

_ALIGNMENT = 16


@dataclass(frozen=True)
class Bundle:
    """A firmware bundle.

    Attributes:
        files: Text of each file, by its name.
        flash_bytes: Bytes of the model's constant array.
        arena_scratch_bytes: Bytes of the arena for tensors, on a 64-bit machine.
        arena_persistent_bytes: Bytes of the arena for what is kept, likewise.
        operators: Names of the operators.

    Examples:
        >>> import edge
        >>> made = edge.firmware_bundle("out/tiny-int8.tflite")
        >>> sorted(made.files)[:2]
        ['README.md', 'golden.h']
    """

    files: dict[str, str]
    flash_bytes: int
    arena_scratch_bytes: int
    arena_persistent_bytes: int
    operators: tuple[str, ...]

    @property
    def arena_bytes(self) -> int:
        """Bytes that the generated program reserves: both parts."""
        return -(-(self.arena_scratch_bytes + self.arena_persistent_bytes) // _ALIGNMENT) * _ALIGNMENT


def firmware_bundle(
    path: str | Path,
    data: str | Path | None = None,
    *,
    examples: int = 2,
    class_names: Sequence[str] = (),
    seed: int = 0,
) -> Bundle:
    """Makes the files that a firmware needs of a model.

    Args:
        path: A .tflite file, packed or not, that TensorFlow Lite for Microcontrollers runs.
        data: NPZ with examples for the golden inputs; None for random ones of the inputs' range.
        examples: Number of golden examples.
        class_names: Names of the classes, in the order of the scores; none where they are not known.
        seed: Of random examples.

    Raises:
        EdgeError: If the file is damaged, has operators that TensorFlow Lite for Microcontrollers lacks, or does not
            run; or if names or data do not fit.

    Examples:
        >>> import edge
        >>> made = edge.firmware_bundle("out/tiny-int8.tflite", examples=1)
        >>> "AddConv2D" in made.files["operators.h"]
        True
    """
    path = Path(path)
    content = read_model_content(path)
    try:
        operators = operators_of(TfliteView(content).subgraphs)
        methods = resolver_methods(operators)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
    found = golden(path, None if data is None else Path(data), examples, seed)
    for each in (*found.inputs, *found.outputs):
        if np.dtype(each.dtype).name not in C_TYPES:
            raise ModelFileError(
                f"{path}: {each.name} is of type {np.dtype(each.dtype).name}, which has no C++ type here"
            )
    if class_names and found.outputs[0].shape[-1] != len(class_names):
        raise EdgeError(f"{len(class_names)} class names, and {found.outputs[0].shape[-1]} scores of {path}")
    digest = hashlib.sha256(content).hexdigest()
    empty = Bundle({}, len(content), found.arena.scratch, found.arena.persistent, operators)
    files = {
        "model_data.h": _data_header(digest),
        "model_data.cc": _data_source(content),
        "model.h": _model_header(found, class_names, empty.arena_bytes),
        "operators.h": _operators_header(methods),
        "golden.h": _golden_header(found),
        "main.cc": _MAIN,
        "README.md": _readme(path.name, digest, empty),
    }
    return Bundle(files, len(content), found.arena.scratch, found.arena.persistent, operators)


def _data_header(digest: str) -> str:
    return guarded(
        "model_data",
        [
            "#include <cstddef>",
            "#include <cstdint>",
            "",
            "// The model, a FlatBuffer; constant, so that it stays in flash.",
            "extern const uint8_t kModelData[];",
            "extern const size_t kModelSize;",
            f'inline constexpr char kModelSha256[] = "{digest}";',
        ],
    )


def _data_source(content: bytes) -> str:
    return (
        '#include "model_data.h"\n\n'
        f"alignas({_ALIGNMENT}) const uint8_t kModelData[] = {{\n{bytes_of(content)}}};\n"
        f"const size_t kModelSize = {len(content)};\n"
    )


def _described(kind: str, boundaries: Sequence[Boundary]) -> list[str]:
    """Constants of each input or output."""
    lines = [f"inline constexpr int k{kind}Count = {len(boundaries)};"]
    for number, each in enumerate(boundaries):
        name, type_ = f"k{kind}{number}", np.dtype(each.dtype).name
        shape = ", ".join(map(str, each.shape))
        lines += [
            "",
            f"// {kind} {number}: {clean(each.name) or 'without a name'}, {type_}",
            f"using {kind}{number}Type = {C_TYPES[type_]};",
            f"inline constexpr int {name}Shape[] = {{{shape}}};",
            f"inline constexpr int {name}Size = {int(np.prod(each.shape))};",
        ]
        if each.scale:
            lines += [
                "// A number is (value - zero point) x scale.",
                f"inline constexpr float {name}Scale = {float(np.float32(each.scale)).hex()}f;  // {each.scale:.9g}",
                f"inline constexpr int {name}ZeroPoint = {each.zero_point};",
            ]
    return lines


def _model_header(found: Golden, class_names: Sequence[str], arena_bytes: int) -> str:
    lines = [
        "#include <cstdint>",
        "",
        f"// {found.arena.scratch:,} bytes are scratch and {found.arena.persistent:,} are kept, as measured",
        "// on a 64-bit machine; a 32-bit one needs less, since its pointers are shorter.",
        f"inline constexpr int kArenaBytes = {arena_bytes};",
        "",
        *_described("Input", found.inputs),
        "",
        *_described("Output", found.outputs),
    ]
    if class_names:
        names = ", ".join(map(string_literal, class_names))
        lines += ["", f"inline constexpr const char* kClassNames[] = {{{names}}};"]
    return guarded("model", lines)


def _operators_header(methods: Sequence[str]) -> str:
    calls = [f"  if (resolver.{method}() != kTfLiteOk) return kTfLiteError;" for method in methods]
    return guarded(
        "operators",
        [
            '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"',
            "",
            f"using ModelOperators = tflite::MicroMutableOpResolver<{len(methods)}>;",
            "",
            "// Exactly the operators that the model uses.",
            "inline TfLiteStatus AddModelOperators(ModelOperators& resolver) {",
            *calls,
            "  return kTfLiteOk;",
            "}",
        ],
    )


def _golden_header(found: Golden) -> str:
    lines = [
        '#include "model.h"',
        "",
        "// Examples, and the outputs of the microcontroller interpreter's reference kernels for them, bit for bit.",
        f"inline constexpr int kGoldenCount = {len(found.examples[0])};",
    ]
    for kind, arrays in (("Input", found.examples), ("Output", found.results)):
        for number, values in enumerate(arrays):
            name = f"kGolden{kind}{number}"
            size = f"kGoldenCount * k{kind}{number}Size"
            lines += ["", f"alignas({_ALIGNMENT}) inline const {kind}{number}Type {name}[{size}] = {{"]
            lines += [array_of(values).rstrip("\n"), "};"]
    lines += [
        "",
        f"inline const void* const kGoldenInputs[] = {{{_names('Input', len(found.inputs))}}};",
        f"inline const void* const kGoldenOutputs[] = {{{_names('Output', len(found.outputs))}}};",
    ]
    return guarded("golden", lines)


def _names(kind: str, count: int) -> str:
    return ", ".join(f"kGolden{kind}{number}" for number in range(count))


_MAIN = """\
// Runs the golden examples, and prints PASS if every output is the same, bit for bit.
#include <cstdio>
#include <cstring>

#include "golden.h"
#include "model.h"
#include "model_data.h"
#include "operators.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {
alignas(16) uint8_t arena[kArenaBytes];

int Failed(const char* what) {
  std::printf("FAIL: %s\\n", what);
  return 1;
}
}  // namespace

int main() {
  tflite::InitializeTarget();
  const tflite::Model* model = tflite::GetModel(kModelData);
  if (model->version() != TFLITE_SCHEMA_VERSION) return Failed("the model has another schema version");
  static ModelOperators operators;
  if (AddModelOperators(operators) != kTfLiteOk) return Failed("an operator is missing");
  static tflite::MicroInterpreter interpreter(model, operators, arena, kArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) return Failed("the tensors do not fit into the arena");
  int differing = 0;
  for (int example = 0; example < kGoldenCount; ++example) {
    if (interpreter.Reset() != kTfLiteOk) return Failed("the state can't be reset");
    for (int number = 0; number < kInputCount; ++number) {
      TfLiteTensor* tensor = interpreter.input(number);
      const char* source = static_cast<const char*>(kGoldenInputs[number]);
      std::memcpy(tensor->data.raw, source + example * tensor->bytes, tensor->bytes);
    }
    if (interpreter.Invoke() != kTfLiteOk) return Failed("the model does not run");
    for (int number = 0; number < kOutputCount; ++number) {
      const TfLiteTensor* tensor = interpreter.output(number);
      const char* expected = static_cast<const char*>(kGoldenOutputs[number]);
      if (std::memcmp(tensor->data.raw, expected + example * tensor->bytes, tensor->bytes) != 0) ++differing;
    }
  }
  std::printf("arena: %u of %d bytes used\\n", static_cast<unsigned>(interpreter.arena_used_bytes()), kArenaBytes);
  if (differing != 0) return Failed("outputs differ from the golden ones");
  std::printf("PASS: %d examples, all outputs equal\\n", kGoldenCount);
  return 0;
}
"""


def _readme(name: str, digest: str, bundle: Bundle) -> str:
    return f"""\
# {clean(name)} for a firmware

- `model_data.h`, `model_data.cc`: the model, {bundle.flash_bytes:,} bytes of flash, SHA-256 {digest[:16]}...
- `model.h`: shapes, types, scales, zero points; the arena, {bundle.arena_bytes:,} bytes of RAM.
- `operators.h`: a resolver with the {len(bundle.operators)} operators that the model uses.
- `golden.h`, `main.cc`: examples and their outputs; a program that prints PASS if all are equal, bit for bit.

Compile all `.cc` files with a checkout of tflite-micro, and what its makefile downloads (flatbuffers, gemmlowp), in
the include path; link them with TFLM's library for the target. Reference kernels give the golden outputs; optimised
ones may round differently.
"""
