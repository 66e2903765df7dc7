"""One model file in a process of its own: the parent alternates between several, and each has its own memory.

The child reads one JSON object per line and answers with one: `{"id": number, "call": name, ...arguments}` gives
`{"id": number, "result": ...}` or `{"id": number, "error": message, "kind": class}`. Output of libraries goes to
standard error, which the parent does not show. The child ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from edge.formats.example_data import read_examples
from edge.formats.judgement import as_json, judge, quality
from edge.running.interpreters import InterpreterOptions
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime
from tfc.base.errors import DataFileError, EdgeError, ModelFileError, RuntimeMissingError
from tfc.base.separate_process import cause_of_end, python_command

_KIB_PER_MB = 1e6 / 1024


class _Calls:
    """The calls that a parent can make."""

    def __init__(self) -> None:
        self._model: TfliteModel | None = None
        self._inputs: tuple[np.ndarray, ...] = ()
        self._keep_state = False

    @property
    def _opened(self) -> TfliteModel:
        assert self._model is not None
        return self._model

    def open(self, path: str, runtime: str, options: dict[str, Any]) -> dict[str, Any]:
        """Loads the file; load_ms is from its name to allocated tensors, the interpreter's import not included."""
        chosen = find_runtime(runtime)
        chosen.load_package()
        start = time.perf_counter_ns()
        self._model = TfliteModel(Path(path), chosen, InterpreterOptions(**options))
        self._keep_state = bool(options.get("keep_state"))
        load_ms = (time.perf_counter_ns() - start) / 1e6
        return {
            "load_ms": load_ms,
            "takes_pixels": any(each.takes_pixels for each in self._model.inputs),
            "input_shapes": [each.shape[1:] for each in self._model.inputs],
            "arena_bytes": self._model.arena_bytes,
        }

    def first(self) -> float:
        """Sets seeded random inputs and returns the first run's milliseconds."""
        self._inputs = self._opened.random_inputs(self._opened.batch, np.random.default_rng(0))
        return self.run(1)[0]

    def run(self, count: int) -> list[float]:
        """Returns the milliseconds of each of some runs, of which the first starts without what other runs left."""
        if not self._keep_state:
            self._opened.reset()
        self._opened.set_input(self._inputs)
        invoke, clock, keeps_inputs = self._opened.invoke, time.perf_counter_ns, self._opened.keeps_inputs
        samples = []
        for _ in range(count):
            if not keeps_inputs:
                self._opened.set_input(self._inputs)
            start = clock()
            invoke()
            samples.append((clock() - start) / 1e6)
        return samples

    def predict(self, data: str, to: str, pixels: bool) -> dict[str, Any]:
        """Judges the outputs for all examples; writes the answers, and outputs that are not judged, to an archive."""
        model = self._opened
        examples = read_examples(Path(data), model.inputs, pixels=pixels)
        outputs = model.predict_all(examples.inputs)
        answers = judge(outputs, examples.labels)
        others = [number for number in range(len(outputs)) if number != answers.output]
        np.savez(to, predicted=answers.predicted, **{f"output_{number}": outputs[number] for number in others})
        names = [each.name for each in model.outputs]
        return {
            "quality": as_json(quality(answers, names)),
            "notes": examples.notes,
            "others": {str(number): names[number] for number in others},
        }

    def peak_memory_mb(self) -> float | None:
        """Returns the process' largest resident memory so far; None where the system does not report it.

        Not from getrusage, which on Linux starts at the parent's value.
        """
        try:
            lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        except OSError:
            return None
        found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        return int(found[0]) / _KIB_PER_MB if found else None


def main() -> int:
    """Answers calls until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    calls = _Calls()
    for line in sys.stdin:
        call = json.loads(line)
        answer = {"id": call.pop("id")}
        try:
            answer["result"] = getattr(calls, call.pop("call"))(**call)
        except EdgeError as error:
            answer |= {"error": str(error), "kind": type(error).__name__}
        answers.write(json.dumps(answer) + "\n")
    return 0


class MeasuredProcess:
    """The parent's end; a context manager."""

    def __init__(self, path: Path, runtime: str, options: InterpreterOptions) -> None:
        """Starts a process that opens a file.

        Args:
            path: A model file.
            runtime: A key of `edge.running.runtime.RUNTIMES`, or `auto`.
            options: How the model is run.

        Raises:
            EdgeError: If the process can't open the file.
        """
        self.path = path
        self._calls = 0
        self._messages: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            python_command(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            text=True,
            start_new_session=True,  # Ctrl-C interrupts the parent only, which still needs results of the child
        )
        try:
            opened = self.call("open", path=str(path), runtime=runtime, options=asdict(options))
        except BaseException:
            self.close()
            raise
        self.load_ms: float = opened["load_ms"]
        self.input_shapes: tuple[tuple[int, ...], ...] = tuple(map(tuple, opened["input_shapes"]))
        self.takes_pixels: bool = opened["takes_pixels"]
        self.arena_bytes: int | None = opened["arena_bytes"]

    def call(self, name: str, **arguments: Any) -> Any:
        """Calls a method of the child.

        Args:
            name: Its name.
            **arguments: Its arguments.

        Raises:
            EdgeError: If the child raised an error, or ended.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._calls += 1
        answer: dict[str, Any] = {"id": 0}
        while answer["id"] != self._calls:  # the answer of an interrupted call may still arrive
            try:
                if not answer["id"]:
                    self._process.stdin.write(json.dumps({"id": self._calls, "call": name, **arguments}) + "\n")
                    self._process.stdin.flush()
                line = self._process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if not line:
                raise ModelFileError(f"{self.path}: the interpreter's process ended{self._last_words()}")
            answer = json.loads(line)
        if "error" in answer:
            raise _ERRORS.get(answer["kind"], EdgeError)(answer["error"])
        return answer["result"]

    def run(self, count: int) -> list[float]:
        """Returns the milliseconds of each of some runs.

        Args:
            count: Runs.
        """
        samples: list[float] = self.call("run", count=count)
        return samples

    def answers(self, data: Path, *, pixels: bool) -> tuple[dict[str, Any], np.ndarray, dict[str, np.ndarray]]:
        """Returns what the model says to examples.

        Args:
            data: An archive that `edge.formats.example_data.read_examples` reads.
            pixels: Whether any of the files takes pixels from 0 to 255.

        Returns:
            `quality` and `notes`; the answers; and by name the outputs that are not judged, (examples, ...).

        Raises:
            EdgeError: If the data do not fit the model.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "answers.npz")
            told: dict[str, Any] = self.call("predict", data=str(data), to=str(path), pixels=pixels)
            with np.load(path) as archive:
                others = {name: archive[f"output_{number}"] for number, name in told.pop("others").items()}
                return told, archive["predicted"], others

    def _last_words(self) -> str:
        code = self._process.wait()
        self._messages.seek(0)
        lines = self._messages.read().decode(errors="replace").strip().splitlines()
        return f" ({cause_of_end(code)}{', ' + lines[-1] if lines else ''})"

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._messages.close()

    def __enter__(self) -> MeasuredProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_ERRORS: dict[str, type[EdgeError]] = {
    class_.__name__: class_ for class_ in (ModelFileError, DataFileError, RuntimeMissingError)
}
