"""Verification of one model file against another with the same inputs. NumPy and an interpreter alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge.formats.data_files import read_examples
from edge.formats.packing import is_packed, read_bytes, read_model_content
from edge.formats.table_expansion import has_look_up_tables
from edge.formats.tflite_reader import TfliteView
from edge.running.interpreters import InterpreterOptions
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import RUNTIMES, Runtime, find_runtime
from tfc.base.errors import EdgeError, ModelFileError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class VerifySettings:
    """What is asked for.

    Attributes:
        runtime: A key of `RUNTIMES`, or `auto`: the microcontroller interpreter where look-up tables must be exact,
            else the first one installed.
        exact: Whether outputs must be equal bit for bit; None decides by the files: a packed file must restore a
            reference of its own variant, look-up tables must equal an int8 model, other pairs may differ.
        min_agreement: Where outputs may differ: smallest share of inputs whose largest output is at the same place.
        random_inputs: Seeded random inputs.
        seed: Their seed.
        kernels: A key of `edge.running.interpreters.KERNELS`.

    Examples:
        >>> import edge
        >>> settings = edge.VerifySettings(min_agreement=0.98, random_inputs=1000)
    """

    runtime: str = "auto"
    exact: bool | None = None
    min_agreement: float = 0.9
    random_inputs: int = 100
    seed: int = 0
    kernels: str = "xnnpack"


@dataclass(frozen=True)
class Comparison:
    """The result for one set of inputs.

    Attributes:
        inputs: What they are, and how many.
        equal: Share of inputs with outputs equal bit for bit.
        agreement: Share of inputs whose largest output is at the same place.
        max_error: Largest difference of an output, in the model's own unit.
        accuracies: Of reference and candidate; None without classes.

    Examples:
        >>> import edge
        >>> settings = edge.VerifySettings(min_agreement=0.0, random_inputs=5)
        >>> found = edge.verify("out/tiny-f32.tflite", "out/tiny-int8.tflite", settings=settings)
        >>> found["comparisons"][0].inputs
        '5 random inputs'
    """

    inputs: str
    equal: float
    agreement: float
    max_error: float
    accuracies: tuple[float, float] | None = None


def _form(content: bytes, path: Path) -> str:
    """What kind of variant a model is; `f32` and `wo8` differ by their operators."""
    try:
        view = TfliteView(content)
        if has_look_up_tables(view):
            return "lut"
        integer = all(tensor.type not in ("float32", "float16") for tensor in view.tensors)
        return "int8" if integer else f"float with {len(view.operators)} operators"
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error


def _chosen_runtime(name: str, *, tables: bool) -> Runtime:
    if name != "auto" or not tables:
        return find_runtime(name)
    if not RUNTIMES["tflm"].is_installed():
        raise EdgeError(
            "look-up tables are verified in the microcontroller interpreter: pip install "
            f"{RUNTIMES['tflm'].install}; or choose another with --runtime to compare the expanded kernels"
        )
    return find_runtime("tflm")


def _outputs(model: TfliteModel, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    raw, values = [], []
    for example in x:
        model.set_input(example[None])
        model.invoke()
        raw.append(model.raw_output()[0].copy())
        values.append(model.output()[0])
    return np.stack(raw), np.stack(values)


def _compare(models: tuple[TfliteModel, TfliteModel], x: np.ndarray, y: np.ndarray | None, inputs: str) -> Comparison:
    (raw, values), (other_raw, other_values) = (_outputs(model, x) for model in models)
    if values.shape != other_values.shape:
        raise EdgeError(f"outputs differ in shape: {values.shape[1:]} and {other_values.shape[1:]}")
    axes = tuple(range(1, values.ndim))
    equal = (raw == other_raw).all(axis=axes) if raw.dtype == other_raw.dtype else np.zeros(len(x), bool)
    best, other_best = (each.reshape(len(x), -1).argmax(axis=1) for each in (values, other_values))
    accuracies = None if y is None else (float((best == y).mean()), float((other_best == y).mean()))
    return Comparison(
        f"{len(x):,} {inputs}",
        float(equal.mean()),
        float((best == other_best).mean()),
        float(np.abs(values - other_values).max()),
        accuracies,
    )


def _check(settings: VerifySettings) -> None:
    if not 0 <= settings.min_agreement <= 1 or settings.random_inputs < 1 or settings.seed < 0:
        raise EdgeError("--min-agreement must be between 0 and 1, --random-inputs at least 1, --seed not negative")


class _Pair(NamedTuple):
    """What the files alone tell: whether they are the same model, whether one is packed, and their kinds of variant."""

    identical: bool
    packed: bool
    forms: tuple[str, str]

    @classmethod
    def read(cls, reference: Path, candidate: Path) -> _Pair:
        contents = read_model_content(reference), read_model_content(candidate)
        packed = any(is_packed(read_bytes(path)) for path in (reference, candidate))
        forms = _form(contents[0], reference), _form(contents[1], candidate)
        return cls(contents[0] == contents[1], packed, forms)


def _comparisons(
    paths: tuple[Path, Path], data: Path | None, runtime: Runtime, settings: VerifySettings
) -> list[Comparison]:
    """What random inputs show, and what the data show where there are some."""
    options = InterpreterOptions(kernels=settings.kernels)
    models = (TfliteModel(paths[0], runtime, options), TfliteModel(paths[1], runtime, options))
    if models[0].input_shape != models[1].input_shape:
        raise EdgeError(f"inputs differ in shape: {models[0].input_shape} and {models[1].input_shape}")
    low, high = models[0].input_range
    _LOG.info("%d random inputs through both in %s %s", settings.random_inputs, runtime.package, runtime.version)
    rng = np.random.default_rng(settings.seed)
    noise = rng.uniform(low, high, (settings.random_inputs, *models[0].input_shape)).astype(np.float32)
    comparisons = [_compare(models, noise, None, "random inputs")]
    if data is not None:
        x, y = read_examples(data, models[0].input_shape)
        _LOG.info("%d examples of %s through both", len(x), data)
        comparisons.append(_compare(models, x, y, f"examples of {data.name}"))
    return comparisons


def _verdict(comparisons: Sequence[Comparison], min_agreement: float, *, exact: bool) -> tuple[bool, str]:
    """Whether the candidate passes, and why."""
    if exact:
        passed = all(each.equal == 1.0 for each in comparisons)
        return (
            passed,
            "all outputs are equal, bit for bit" if passed else "outputs must be equal bit for bit, and are not",
        )
    # Real inputs decide where there are some: on noise, classes are close to each other.
    decisive = comparisons[-1]
    passed = decisive.agreement >= min_agreement
    relation = "at least" if passed else "below"
    return passed, f"agreement {decisive.agreement:.4f} is {relation} {min_agreement:g} ({decisive.inputs})"


def verify(
    reference: str | Path,
    candidate: str | Path,
    data: str | Path | None = None,
    settings: VerifySettings | None = None,
) -> dict[str, Any]:
    """Compares two model files.

    Args:
        reference: The file to compare with.
        candidate: The file to verify.
        data: NPZ with x (examples, ...) and y (examples,); adds real inputs and accuracy.
        settings: What is asked for.

    Returns:
        `passed`, `reason` (why not, or why), `exact`, `identical` (whether the models are the same bytes), `runtime`,
        and `comparisons`, a list of `Comparison`; empty where the bytes alone decide.

    Raises:
        EdgeError: If a file, the data or the runtime do not allow it.

    Examples:
        >>> import edge
        >>> found = edge.verify("out/tiny-int8.tflite", "out/tiny-int8.tflite")
        >>> found["passed"], found["reason"]
        (True, 'the models are the same, byte for byte')
    """
    reference, candidate = Path(reference), Path(candidate)
    settings = settings or VerifySettings()
    _check(settings)
    data = None if data is None else Path(data)
    pair = _Pair.read(reference, candidate)
    # A packed file of the reference's own variant is its original or it is not; all else is for the outputs to say.
    restored = pair.packed and settings.exact is None and pair.forms[0] == pair.forms[1]
    exact = settings.exact
    if exact is None:
        exact = restored or ("lut" in pair.forms and set(pair.forms) <= {"int8", "lut"})
    found = {"exact": exact, "identical": pair.identical}
    if pair.identical or restored:
        reason = (
            "the models are the same, byte for byte" if pair.identical else "the packed file restores another model"
        )
        return {"passed": pair.identical, "reason": reason, **found, "runtime": None, "comparisons": []}
    runtime = _chosen_runtime(settings.runtime, tables=exact and "lut" in pair.forms)
    comparisons = _comparisons((reference, candidate), data, runtime, settings)
    passed, reason = _verdict(comparisons, settings.min_agreement, exact=exact)
    version = f"{runtime.package} {runtime.version}"
    return {"passed": passed, "reason": reason, **found, "runtime": version, "comparisons": comparisons}


def format_verification(found: dict[str, Any]) -> str:
    """Returns what was found as lines for a terminal.

    Args:
        found: What `verify` returned.

    Examples:
        >>> import edge
        >>> found = edge.verify("out/tiny-int8.tflite", "out/tiny-int8.tflite")
        >>> print(edge.format_verification(found))
        passed: the models are the same, byte for byte
    """
    lines = []
    for each in found["comparisons"]:
        line = (
            f"{each.inputs}: equal {each.equal:.4f}, agreement {each.agreement:.4f}, largest difference "
            f"{each.max_error:.6g}"
        )
        if each.accuracies:
            line += f", accuracy {each.accuracies[0]:.4f} and {each.accuracies[1]:.4f}"
        lines.append(line)
    where = f" ({found['runtime']})" if found["runtime"] else ""
    lines.append(f"{'passed' if found['passed'] else 'FAILED'}: {found['reason']}{where}")
    return "\n".join(lines)
