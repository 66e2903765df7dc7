"""A model file in an interpreter: inputs in, outputs out, state reset. NumPy and that interpreter alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge.formats.boundaries import has_state, named
from edge.formats.packing import read_model_content
from edge.formats.table_expansion import expand_tables
from edge.formats.tflite_reader import TfliteView
from edge.running.interpreters import InterpreterOptions, MicroInterpreter
from edge.running.runtime import Runtime
from tfc.base.errors import ModelFileError, RuntimeMissingError


def _refuse_scales_per_channel(content: bytes) -> None:
    """TFLM's DEQUANTIZE silently uses the first scale for all channels."""
    for view in TfliteView(content).subgraphs:
        for operator in view.operators:
            if operator.name == "DEQUANTIZE" and len(view.tensors[operator.inputs[0]].scales) > 1:
                raise ModelFileError(
                    "int8 weights with a scale per channel and float computation give wrong results in the "
                    "microcontroller interpreter; use int8 or lut there"
                )


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__


class TfliteModel:
    """A loaded model, with any number of inputs and outputs.

    Attributes:
        path: The file.
        inputs: Its inputs, `edge.Boundary` each.
        outputs: Its outputs.
        input_shape: Shape of one example of the first input, without the batch.
        has_state: Whether its runs leave a state behind (LSTM, streaming models).

    Examples:
        >>> import numpy as np
        >>> import edge
        >>> model = edge.TfliteModel("out/tiny-int8.tflite", edge.find_runtime())
        >>> model.predict(np.zeros((2, *model.input_shape), np.float32)).shape
        (2, 10)
    """

    def __init__(self, path: str | Path, runtime: Runtime, options: InterpreterOptions | None = None) -> None:
        """Loads the file, which must take one example at a time, and allocates its tensors.

        A packed file is unpacked, and look-up tables are expanded where the runtime has none, both in memory.

        Args:
            path: A .tflite file, packed or not.
            runtime: What `find_runtime` returned.
            options: How it is run.

        Raises:
            ModelFileError: If the file is missing, no TFLite model, or not one that this runtime runs.
        """
        self.path = path = Path(path)
        self._options = options = options or InterpreterOptions()
        content = read_model_content(path)
        try:
            if runtime.has_tables:
                _refuse_scales_per_channel(content)
            else:
                content = expand_tables(content)
            view = TfliteView(content)
            self.has_state = any(has_state(view))
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from error
        try:
            self._interpreter = runtime.open(runtime.module, content, options)
            self.inputs = named(self._interpreter.inputs, view, inputs=True)
            self.outputs = named(self._interpreter.outputs, view, inputs=False)
        except ImportError as error:
            raise RuntimeMissingError(f"{runtime.package} {runtime.version} does not import: {error}") from error
        except Exception as error:  # whatever an interpreter's own code makes of a damaged file
            reason = f"{runtime.package} {runtime.version} can't load it: {_last_line(error)}"
            raise ModelFileError(f"{path}: {reason}") from error
        if not self.inputs or not self.outputs:
            raise ModelFileError(f"{path}: has {len(self.inputs)} inputs and {len(self.outputs)} outputs")
        for each in self.inputs:
            if not each.shape:
                raise ModelFileError(f"{path}: its input {each.name} is a single number, without an axis for the batch")
            if each.shape[0] != options.batch:
                raise ModelFileError(f"{path}: takes {each.shape[0]} inputs at once; export it for a batch of one")
        if options.batch != 1 and any(each.shape[:1] != (options.batch,) for each in self.outputs):
            raise ModelFileError(f"{path}: an output has no axis for the batch: measure it with --batch 1")
        self.input_shape = self.inputs[0].shape[1:]

    @property
    def input_range(self) -> tuple[float, float]:
        """Smallest and largest value of the first input: `edge.Boundary.range`."""
        return self.inputs[0].range

    @property
    def batch(self) -> int:
        """Examples per run."""
        return self._options.batch

    @property
    def arena_bytes(self) -> int | None:
        """Arena bytes that a microcontroller must reserve; None for other interpreters."""
        return self._interpreter.arena_bytes()

    def arena_parts(self) -> tuple[int, int]:
        """Returns the bytes of a microcontroller's arena: for scratch, used again and again, and for what is kept.

        Raises:
            ModelFileError: If the interpreter is another one.
        """
        parts = self._interpreter.arena_parts() if isinstance(self._interpreter, MicroInterpreter) else None
        if parts is None:
            raise ModelFileError(f"{self.path}: the interpreter does not tell what its arena holds")
        return parts

    @property
    def keeps_inputs(self) -> bool:
        """Whether a run leaves the inputs as they were; otherwise they must be set before each."""
        return self._interpreter.keeps_inputs

    def reset(self) -> None:
        """Resets the state that runs have left behind; nothing where the model has none. Inputs must be set again."""
        if self.has_state:
            self._interpreter.reset()

    def random_inputs(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Returns random examples of each input's type and range.

        Args:
            count: Examples.
            rng: The source of randomness.
        """
        return tuple(each.random(count, rng) for each in self.inputs)

    def set_input(self, x: np.ndarray | Sequence[np.ndarray]) -> None:
        """Sets the inputs, quantised where the model asks for it.

        Args:
            x: Per input (batch, *shape of one example): numbers, or integers of the input's own type as they are.
        """
        arrays = [x] if isinstance(x, np.ndarray) else x
        for number, (boundary, values) in enumerate(zip(self.inputs, arrays, strict=True)):
            self._interpreter.set_input(boundary.quantised(values), number)

    def invoke(self) -> None:
        """Runs the model on the inputs that were set.

        Raises:
            ModelFileError: If the interpreter refuses them.
        """
        try:
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelFileError(f"{self.path}: the interpreter stops: {_last_line(error)}") from error

    def raw_output(self, number: int = 0) -> np.ndarray:
        """Returns an output in the model's own type, shape (batch, ...).

        Args:
            number: Of the output.
        """
        raw = self._interpreter.output(number)
        return raw[None] if raw.shape[:1] != (self.batch,) else raw

    def output(self, number: int = 0) -> np.ndarray:
        """Returns an output's values, shape (batch, ...): float32, or integers where they are no quantised numbers.

        Args:
            number: Of the output.
        """
        return self.outputs[number].values(self.raw_output(number))

    def predict(self, x: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Returns the first output for many examples, (examples, ...): see `predict_all`.

        Args:
            x: Per input (examples, *shape of one example).
        """
        return self.predict_all(x)[0]

    def predict_all(self, x: np.ndarray | Sequence[np.ndarray], *, raw: bool = False) -> tuple[np.ndarray, ...]:
        """Returns all outputs for many examples, a batch at a time.

        State is reset before every batch; with `keep_state` once, at the start.

        Args:
            x: Per input (examples, *shape of one example).
            raw: Whether the outputs are wanted in the model's own types.

        Returns:
            Per output (examples, ...); (examples, 0) where its shape changes from one example to the next.

        Raises:
            ModelFileError: If the interpreter refuses an example.
        """
        arrays = [x] if isinstance(x, np.ndarray) else x
        rows: list[list[np.ndarray]] = [[] for _ in self.outputs]
        read = self.raw_output if raw else self.output
        count = len(arrays[0])
        for start in range(0, count, self.batch):
            if not start or not self._options.keep_state:
                self.reset()
            examples = [each[start : start + self.batch] for each in arrays]
            present = len(examples[0])
            # The last batch is padded with its last example.
            self.set_input(
                [np.concatenate([each, np.repeat(each[-1:], self.batch - present, axis=0)]) for each in examples]
            )
            self.invoke()
            for number, found in enumerate(rows):
                found.extend(read(number)[:present].copy())
        same = [len({row.shape for row in found}) == 1 for found in rows]
        return tuple(
            np.stack(found) if fits else np.zeros((count, 0), np.float32)
            for found, fits in zip(rows, same, strict=True)
        )
