"""Builds a firmware bundle into an image for an emulated Cortex-M4, runs it, and counts its instructions.

    python tools/firmware_image.py --tflm TFLM_DIR bundle [bundle ...]

TFLM_DIR is a checkout of tflite-micro whose makefile has fetched its third-party sources (any target does:
`make -f tensorflow/lite/micro/tools/make/Makefile third_party_downloads`). The library is compiled once, into
`build/firmware`. Needs Debian's gcc-arm-none-eabi, libstdc++-arm-none-eabi-newlib and qemu-system-arm. The instruction
count is the emulator's (`-icount shift=0`, a SysTick every 40 instructions); it is no latency.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "firmware"
COMPILER = "arm-none-eabi-g++"
MACHINE, CPU = "mps2-an386", "cortex-m4"
DOWNLOADS = "tensorflow/lite/micro/tools/make/downloads"
FLAGS = (
    f"-mcpu={CPU} -mthumb -mfloat-abi=soft -Os -ffunction-sections -fdata-sections -fno-exceptions -fno-rtti "
    "-fno-threadsafe-statics -funsigned-char -std=c++17 -w -DTF_LITE_STATIC_MEMORY -DTF_LITE_MCU_DEBUG_LOG"
).split()
_LEFT_OUT = re.compile(
    r"_test\.cc|flexbuffers_generated|/(examples|benchmarks|testing|tools|python|integration_tests|testdata|cortex_m_\w+|bluepill|chre|"
    r"cmsis_nn|xtensa|arc_\w+|ceva|ethos_u|hexagon|riscv\w*|compression)/|test_helper|test_data_generation|mock_micro|micro_test"
)
_INSTRUCTIONS_PER_TICK = 40

LINKER_SCRIPT = """\
ENTRY(_start)
MEMORY { FLASH (rx) : ORIGIN = 0x00000000, LENGTH = 4M  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 4M }
SECTIONS {
  .vectors : { KEEP(*(.vectors)) } > FLASH
  .text : { *(.text*) *(.rodata*) KEEP(*(.init)) KEEP(*(.fini)) *(.eh_frame*) } > FLASH
  .ARM.extab : { *(.ARM.extab*) } > FLASH
  .ARM.exidx : { __exidx_start = .; *(.ARM.exidx*) __exidx_end = .; } > FLASH
  .init_array : { __preinit_array_start = .; KEEP(*(.preinit_array*)) __preinit_array_end = .;
    __init_array_start = .; KEEP(*(SORT(.init_array.*))) KEEP(*(.init_array*)) __init_array_end = .;
    __fini_array_start = .; KEEP(*(.fini_array*)) __fini_array_end = .; } > FLASH
  .data : { *(.data*) } > RAM
  .bss : { __bss_start__ = .; *(.bss*) *(COMMON) __bss_end__ = .; } > RAM
  end = .; __end__ = .; __HeapLimit = ORIGIN(RAM) + LENGTH(RAM) - 64K; __stack = ORIGIN(RAM) + LENGTH(RAM);
}
"""

STARTUP = """\
extern "C" void _start();
extern "C" char __stack;
extern "C" void Stop() { for (;;) {} }
volatile unsigned wraps = 0;
extern "C" void Wrapped() { wraps = wraps + 1; }
#define STOP reinterpret_cast<const void*>(&Stop)
__attribute__((section(".vectors"), used)) static const void* const vectors[16] = {
    &__stack, reinterpret_cast<const void*>(&_start), STOP, STOP, STOP, STOP, STOP, STOP,
    STOP, STOP, STOP, STOP, STOP, STOP, STOP, reinterpret_cast<const void*>(&Wrapped)};
"""

COUNTING = """\
// SysTick counts the processor's clock, downwards, over 24 bits; an interrupt counts how often it starts again.
#include "golden.h"
#include "model.h"
#include "model_data.h"
#include "operators.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include <cstdio>
#include <cstring>
#define REGISTER(place) (*reinterpret_cast<volatile unsigned*>(place))
extern volatile unsigned wraps;
alignas(16) static unsigned char counted_arena[kArenaBytes];
void CountInstructions() {
  static ModelOperators operators;
  AddModelOperators(operators);
  static tflite::MicroInterpreter interpreter(tflite::GetModel(kModelData), operators, counted_arena, kArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) return;
  for (int number = 0; number < kInputCount; ++number) {
    std::memcpy(interpreter.input(number)->data.raw, kGoldenInputs[number], interpreter.input(number)->bytes);
  }
  REGISTER(0xE000E014) = 0xFFFFFF;
  REGISTER(0xE000E018) = 0;
  REGISTER(0xE000E010) = 7;
  while (REGISTER(0xE000E018) == 0) {
  }
  wraps = 0;
  const unsigned start = REGISTER(0xE000E018);
  interpreter.Invoke();
  const unsigned end = REGISTER(0xE000E018);
  REGISTER(0xE000E010) = 0;
  std::printf("ticks: %u\\n", wraps * 0x1000000u + start - end);
}
"""


class Ran(NamedTuple):
    """What an image did.

    Attributes:
        passed: Whether all golden outputs were equal.
        output: What it printed.
        model_bytes: Bytes of the model's array.
        code_bytes: Bytes of everything else in flash.
        arena_used: Bytes of the arena that were used, on the 32-bit target.
        instructions: Emulated instructions of an inference, to within 40; None where they were too many to count.
    """

    passed: bool
    output: str
    model_bytes: int
    code_bytes: int
    arena_used: int
    instructions: int | None


def includes(tflm: Path) -> list[str]:
    """The include paths of TFLM and its third-party sources."""
    third = tflm / DOWNLOADS
    for name in ("flatbuffers/include", "gemmlowp", "ruy"):
        if not (third / name).is_dir():
            raise SystemExit(f"{third / name} is missing: let TFLM's makefile fetch its third_party_downloads first")
    return [f"-I{tflm}", f"-I{third / 'flatbuffers' / 'include'}", f"-I{third / 'gemmlowp'}", f"-I{third / 'ruy'}"]


def sources(tflm: Path) -> list[Path]:
    """TFLM's sources with its reference kernels."""
    folders = ("tensorflow/lite/micro", "tensorflow/lite/core", "tensorflow/lite/kernels", "tensorflow/compiler")
    found = sorted(path for folder in folders for path in (tflm / folder).rglob("*.cc"))
    return [path for path in found if not _LEFT_OUT.search(path.relative_to(tflm).as_posix())]


def _compiled(path: Path, target: Path, arguments: list[str]) -> Path:
    if not target.is_file() or target.stat().st_mtime < path.stat().st_mtime:
        temporary = target.with_suffix(".tmp")
        subprocess.run([COMPILER, *FLAGS, *arguments, "-c", str(path), "-o", str(temporary)], check=True)
        temporary.replace(target)
    return target


def library(tflm: Path) -> Path:
    """Compiles TFLM once; returns the archive."""
    BUILD.mkdir(parents=True, exist_ok=True)
    arguments = includes(tflm)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(
            pool.map(
                lambda path: _compiled(
                    path, BUILD / f"{path.relative_to(tflm).as_posix().replace('/', '_')}.o", arguments
                ),
                sources(tflm),
            )
        )
    archive = BUILD / "libtflm.a"
    archive.unlink(missing_ok=True)
    subprocess.run(["arm-none-eabi-ar", "rcs", str(archive), *map(str, objects)], check=True)
    return archive


def build(bundle: Path, tflm: Path, place: Path) -> Path:
    """Compiles and links a bundle; returns the image."""
    place.mkdir(parents=True, exist_ok=True)
    for name, text in (("startup.cc", STARTUP), ("counting.cc", COUNTING), ("image.ld", LINKER_SCRIPT)):
        (place / name).write_text(text)
    # The bundle's own main runs first, as it is; then the instructions of one inference are counted.
    wrapped = (
        "#define main GoldenMain\n"
        + (bundle / "main.cc").read_text()
        + (
            "\n#undef main\nvoid CountInstructions();\n"
            "int main() {\n  const int code = GoldenMain();\n  if (code == 0) CountInstructions();\n  return code;\n}\n"
        )
    )
    (place / "wrapped_main.cc").write_text(wrapped)
    arguments = [*includes(tflm), f"-I{bundle}"]
    parts = [bundle / "model_data.cc", place / "wrapped_main.cc", place / "startup.cc", place / "counting.cc"]
    objects = []
    for part in parts:
        target = place / f"{part.stem}.o"
        target.unlink(missing_ok=True)
        objects.append(_compiled(part, target, arguments))
    image = place / "image.elf"
    link = ["-Wl,--gc-sections", f"-T{place / 'image.ld'}", "--specs=rdimon.specs"]
    subprocess.run([COMPILER, *FLAGS, *map(str, objects), str(library(tflm)), *link, "-o", str(image)], check=True)
    return image


def run(image: Path, timeout: float = 600.0) -> str:
    """Runs an image in the emulator; returns what it prints."""
    words = ["qemu-system-arm", "-M", MACHINE, "-nographic", "-monitor", "none", "-serial", "none"]
    words += ["-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel", str(image)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    return done.stdout + done.stderr


def _flash(image: Path) -> int:
    printed = subprocess.run(["arm-none-eabi-size", str(image)], capture_output=True, text=True, check=True).stdout
    text, data = printed.splitlines()[1].split()[:2]
    return int(text) + int(data)


def measure(bundle: Path, tflm: Path) -> Ran:
    """Builds, runs and measures a bundle."""
    image = build(bundle, tflm, BUILD / "images" / bundle.resolve().name)
    output = run(image)
    model_bytes = int(re.findall(r"kModelSize = (\d+)", (bundle / "model_data.cc").read_text())[0])
    arena = re.search(r"arena: (\d+) of", output)
    ticks = re.search(r"ticks: (\d+)$", output, re.M)
    return Ran(
        "PASS" in output and "FAIL" not in output,
        output,
        model_bytes,
        _flash(image) - model_bytes,
        int(arena[1]) if arena else 0,
        int(ticks[1]) * _INSTRUCTIONS_PER_TICK if ticks else None,
    )


def main() -> int:
    """Measures the bundles that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path, help="folders that 'edge firmware' wrote")
    parser.add_argument("--tflm", type=Path, default=os.environ.get("TFLM_DIR"), help="checkout (or TFLM_DIR)")
    parser.add_argument("--json", type=Path, help="write the figures")
    options = parser.parse_args()
    if options.tflm is None:
        parser.error("needs --tflm or TFLM_DIR")
    rows = {}
    for bundle in options.bundles:
        found = measure(bundle, Path(options.tflm))
        rows[bundle.name] = found._asdict()
        count = "-" if found.instructions is None else f"{found.instructions:,}"
        print(
            f"{bundle.name}: {'PASS' if found.passed else 'FAIL'}  model {found.model_bytes:,} B, code "
            f"{found.code_bytes:,} B, arena {found.arena_used:,} B, {count} emulated instructions"
        )
        if not found.passed:
            print(found.output, file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0 if all(row["passed"] for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
