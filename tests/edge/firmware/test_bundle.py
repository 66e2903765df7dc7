"""What `edge firmware` writes: the model's own bytes, its operators, and examples with the interpreter's outputs."""

import os
import re
import subprocess
from pathlib import Path

import firmware_image
import numpy as np
import pytest
from export_zoo import build
from programs import program

from edge.cli import main
from edge.conversion.converter import quiet_converter, to_float32
from edge.firmware.bundle import firmware_bundle
from edge.firmware.c_source import array_of, identifier, string_literal
from edge.firmware.resolver import METHODS, resolver_methods
from edge.formats.operator_names import OPERATOR_NAMES
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime
from tfc.base.errors import EdgeError, ModelFileError


def initialiser(text, name):
    """The numbers of an array in C++."""
    body = re.search(rf"{name}\[[^\]]*\] = {{(.*?)}};", text, re.S)[1]
    return [int(number, 0) for number in re.findall(r"-?\w+", body)]


@pytest.fixture(scope="module", params=["int8", "lut"])
def made(request, exported):
    path = exported / f"model-{request.param}.tflite"
    return path, firmware_bundle(path, exported / "test.npz", examples=3, class_names=["a", "b", "ü", '"\\']), exported


def test_the_array_is_the_file(made):
    path, bundle, _ = made
    source = bundle.files["model_data.cc"]
    assert bytes(initialiser(source, "kModelData")) == path.read_bytes()
    assert "alignas(16) const uint8_t kModelData" in source and f"kModelSize = {bundle.flash_bytes};" in source


def test_golden_examples_are_the_data_and_the_interpreters_outputs(made):
    path, bundle, exported = made
    model = TfliteModel(path, find_runtime("tflm"))
    x = np.load(exported / "test.npz")["x"][:3]
    golden = bundle.files["golden.h"]
    assert initialiser(golden, "kGoldenInput0") == model.inputs[0].quantised(x).ravel().tolist()
    assert initialiser(golden, "kGoldenOutput0") == model.predict_all([x], raw=True)[0].ravel().tolist()
    assert "kGoldenCount = 3;" in golden


def test_shapes_scales_and_names(made):
    path, bundle, _ = made
    header, boundary = bundle.files["model.h"], TfliteModel(path, find_runtime("tflm")).inputs[0]
    assert f"kInput0Shape[] = {{{', '.join(map(str, boundary.shape))}}};" in header
    scale = re.search(r"kInput0Scale = (\S+)f;", header)[1]
    assert float.fromhex(scale) == np.float32(boundary.scale)
    assert f"kInput0ZeroPoint = {boundary.zero_point};" in header
    assert r'kClassNames[] = {"a", "b", "\303\274", "\042\134"};' in header
    assert bundle.arena_bytes % 16 == 0 and f"kArenaBytes = {bundle.arena_bytes};" in header


def test_exactly_the_operators_used(made):
    _, bundle, _ = made
    calls = re.findall(r"resolver\.(Add\w+)\(\)", bundle.files["operators.h"])
    assert calls == list(resolver_methods(bundle.operators)) and len(calls) == len(set(calls))
    assert f"MicroMutableOpResolver<{len(calls)}>" in bundle.files["operators.h"]
    assert ("AddDecode" in calls) == ("TFLM_DECODE" in bundle.operators)


def test_methods_follow_the_schemas_names():
    customs = {"TFLM_DECODE", "CIRCULAR_BUFFER", "TFLite_Detection_PostProcess"}
    assert set(METHODS) - customs <= set(OPERATOR_NAMES)
    expected = {"AVERAGE_POOL_2D": "AddAveragePool2D", "SPLIT_V": "AddSplitV", "SPACE_TO_BATCH_ND": "AddSpaceToBatchNd"}
    assert {name: METHODS[name] for name in expected} == expected


def test_operators_that_a_microcontroller_lacks_are_named(tmp_path):
    with quiet_converter():
        (tmp_path / "model.tflite").write_bytes(to_float32(build("conv3d")))
    with pytest.raises(ModelFileError, match=r"model\.tflite: TensorFlow Lite for Microcontrollers has no .*CONV_3D"):
        firmware_bundle(tmp_path / "model.tflite")


@pytest.mark.parametrize(
    "options,message",
    [
        ({"examples": 0}, "--examples must be at least 1"),
        ({"class_names": ["a"]}, "1 class names, and 4 scores"),
        ({"data": "none.npz"}, "none.npz"),
    ],
)
def test_what_does_not_fit(exported, options, message):
    with pytest.raises(EdgeError, match=message):
        firmware_bundle(exported / "model-int8.tflite", **options)


def test_weights_in_int8_with_float_computation_are_refused(exported):
    with pytest.raises(EdgeError, match="wrong results in the microcontroller interpreter"):
        firmware_bundle(exported / "model-wo8.tflite")


def test_the_command(exported, tmp_path, capsys):
    words = ["firmware", str(exported / "model-lut.tflite"), "--out", str(tmp_path / "fw")]
    assert main([*words, "--compare", str(exported / "model-int8.tflite")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"RAM +[\d,]+ bytes of arena: [\d,]+ scratch, [\d,]+ kept", printed)
    assert re.search(r"-[\d,]+ bytes of flash, \+[\d,]+ bytes of RAM", printed)
    names = {path.name for path in (tmp_path / "fw").iterdir()}
    assert names == {"README.md", "golden.h", "main.cc", "model.h", "model_data.cc", "model_data.h", "operators.h"}
    (tmp_path / "names.txt").write_text("a\n\nb\n")
    assert main([*words[:-1], str(tmp_path / "no"), "--class-names", str(tmp_path / "names.txt")]) == 1
    assert "one class name per line" in capsys.readouterr().err and not (tmp_path / "no").exists()


def test_pieces_of_source():
    assert identifier("9-lives.tflite") == "m_9_lives_tflite" and identifier("...") == "model"
    assert string_literal("a??=b\n") == '"a\\077\\077=b\\012"'
    floats = np.array([1.5, -0.1], np.float32)
    texts = array_of(floats).strip(" ,\n").split(", ")
    assert [float.fromhex(text.removesuffix("f")) for text in texts] == floats.tolist()
    assert array_of(np.array([True, False])).strip() == "true, false,"


_METHODS = "\n".join(f"  TfLiteStatus {method}() {{ return kTfLiteOk; }}" for method in METHODS.values())
STUBS = {
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": f"""#pragma once
enum TfLiteStatus {{ kTfLiteOk, kTfLiteError }};
namespace tflite {{
template <unsigned n> struct MicroMutableOpResolver {{
{_METHODS}
}};
}}
""",
    "tensorflow/lite/micro/system_setup.h": "#pragma once\nnamespace tflite { void InitializeTarget(); }\n",
    "tensorflow/lite/schema/schema_generated.h": "#pragma once\n#define TFLITE_SCHEMA_VERSION 3\n"
    "namespace tflite { struct Model { unsigned version() const; }; const Model* GetModel(const void*); }\n",
    "tensorflow/lite/micro/micro_interpreter.h": """#pragma once
#include <cstddef>
#include <cstdint>
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
struct TfLiteTensor { union { char* raw; } data; size_t bytes; };
namespace tflite { struct MicroInterpreter {
  template <typename R> MicroInterpreter(const Model*, const R&, uint8_t*, size_t);
  TfLiteStatus AllocateTensors(); TfLiteStatus Reset(); TfLiteStatus Invoke();
  TfLiteTensor* input(size_t); TfLiteTensor* output(size_t); size_t arena_used_bytes() const; }; }
""",
}
"""What the bundle uses of TFLM's headers."""


@pytest.mark.system
def test_the_bundle_compiles_for_a_cortex_m(made, tmp_path):
    compiler = program("arm-none-eabi-g++", "gcc-arm-none-eabi")
    _, bundle, _ = made
    for name, text in {**STUBS, **bundle.files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in ("model_data.cc", "main.cc"):
        words = [compiler, "-mcpu=cortex-m4", "-mthumb", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-I.", "-c", name]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    sizes = (
        subprocess.run(["arm-none-eabi-size", "model_data.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
        .stdout.splitlines()[1]
        .split()
    )
    assert bundle.flash_bytes <= int(sizes[0]) < bundle.flash_bytes + 64 and int(sizes[1]) == int(sizes[2]) == 0


@pytest.mark.firmware
def test_golden_examples_pass_in_an_emulated_cortex_m(made, tmp_path):
    assert os.environ.get("TFLM_DIR"), "set TFLM_DIR to a checkout of tflite-micro"
    _, bundle, _ = made
    for name, text in bundle.files.items():
        (tmp_path / name).write_text(text)
    ran = firmware_image.measure(tmp_path, Path(os.environ["TFLM_DIR"]))
    assert ran.passed and 0 < ran.arena_used <= bundle.arena_bytes and ran.instructions, ran.output
    golden = (tmp_path / "golden.h").read_text()
    last = re.search(r"(-?\d+),?\s*\n};\s*\n\s*\ninline const void\* const kGoldenInputs", golden)
    wrong = golden[: last.start(1)] + str((int(last[1]) + 1) % 100) + golden[last.end(1) :]
    (tmp_path / "golden.h").write_text(wrong)
    sabotaged = firmware_image.measure(tmp_path, Path(os.environ["TFLM_DIR"]))
    assert not sabotaged.passed and "FAIL: outputs differ" in sabotaged.output
