"""Verification of one model file against another with the same inputs, which a process of its own runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from edge.formats.packing import is_packed, read_bytes, read_model_content
from edge.formats.table_expansion import has_look_up_tables
from edge.formats.tflite_reader import TfliteView
from edge.running.output_comparison import MOST_DIFFERENT, Comparison, why_different
from edge.running.paired_run import PairRequest
from edge.running.runtime import RUNTIMES, Runtime, find_runtime
from tfc.base.errors import EdgeError, ModelFileError
from tfc.base.separate_process import ProcessCrashedError, call_apart


@dataclass(frozen=True)
class VerifySettings:
    """What is asked for.

    Attributes:
        runtime: A key of `RUNTIMES`, or `auto`: the microcontroller interpreter where look-up tables must be exact,
            else the first one installed.
        exact: Whether outputs must be equal bit for bit; None decides by the files: a packed file must restore a
            reference of its own variant, look-up tables must equal an int8 model, other pairs may differ.
        min_agreement: Where outputs may differ: smallest share of equal classes. How far numbers may be apart is said
            in `edge.running.output_comparison`.
        random_inputs: Number of calibration inputs where there are some beside a file, else of seeded random inputs.
        seed: Of the random inputs.
        kernels: A key of `edge.running.interpreters.KERNELS`.
        keep_state: Whether an example starts with the state that the one before it left (streams).

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
    keep_state: bool = False


def _form(content: bytes, path: Path) -> str:
    """What kind of variant a model is; `f32` and `wo8` differ by their operators and kernels."""
    try:
        view = TfliteView(content)
        if has_look_up_tables(view):
            return "lut"
        # By what operators give and kernels hold: an LSTM in int8 declares floats that nothing computes.
        computed = {
            subgraph.tensors[number].type
            for subgraph in view.subgraphs
            for operator in subgraph.operators
            for number in operator.outputs
            if number >= 0
        }
        kernels = sorted(
            {subgraph.tensors[each.tensor].type for subgraph in view.subgraphs for each in subgraph.kernels}
        )
        if not computed & {"float32", "float16"}:
            return "int8"
        return f"float with {len(view.operators)} operators, kernels of {', '.join(kernels)}"
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
) -> tuple[list[Comparison], list[str]]:
    """What `edge.running.paired_run.run_both` finds, in a process that may crash."""
    request = PairRequest(
        reference=str(paths[0]),
        candidate=str(paths[1]),
        data=None if data is None else str(data),
        runtime=runtime.name,
        random_inputs=settings.random_inputs,
        seed=settings.seed,
        kernels=settings.kernels,
        keep_state=settings.keep_state,
    )
    try:
        found = call_apart(
            "edge.running.paired_run:run_both_here", asdict(request), files=[str(data or "")], quiet=True
        )
    except ProcessCrashedError as error:
        raise ModelFileError(
            f"{runtime.package} {runtime.version} crashed while {error.stage or 'starting'} ({error.cause}); "
            "another interpreter may run them (--runtime)"
        ) from error
    return [Comparison.from_json(each) for each in found["comparisons"]], found["notes"]


def _verdict(comparisons: Sequence[Comparison], min_agreement: float, *, exact: bool) -> tuple[str, str]:
    """`passed`, `failed` or `undecided`, and why."""
    if exact and not all(each.equal == 1.0 for each in comparisons):
        return "failed", "outputs must be equal bit for bit, and are not"
    # Real inputs decide where there are some: on noise, classes are close to each other.
    decisive = comparisons[-1]
    if decisive.undecided:
        return "undecided", f"{decisive.undecided} ({decisive.inputs}); give other inputs with --data"
    if exact:
        return "passed", "all outputs are equal, bit for bit"
    different = why_different(decisive, min_agreement)
    if different:
        return "failed", different
    if decisive.single_class and not decisive.real:
        return "undecided", f"nearly all inputs get one class ({decisive.inputs}); give real ones with --data"
    if decisive.agreement is None:
        told = f"the outputs differ by {decisive.relative_error:.3g} of their spread, at most {MOST_DIFFERENT} may be"
        return "passed", f"{told} ({decisive.inputs})"
    return "passed", f"agreement {decisive.agreement:.4f} is at least {min_agreement:g} ({decisive.inputs})"


def verify(
    reference: str | Path,
    candidate: str | Path,
    data: str | Path | None = None,
    settings: VerifySettings | None = None,
) -> dict[str, Any]:
    """Compares two model files; they run in a process of their own, so that a crash of an interpreter is an error.

    Args:
        reference: The file to compare with.
        candidate: The file to verify.
        data: NPZ with x (examples, ...), or an array per input, and y; adds real inputs and accuracy. Without it,
            calibration.npz beside one of the files is taken, or else random inputs.
        settings: What is asked for.

    Returns:
        `passed`, `verdict` (`passed`, `failed`, or `undecided` where the outputs prove nothing), `reason` (why not, or
        why), `notes` (on the inputs, a sentence each), `exact`, `identical` (whether the models are the same bytes),
        `runtime`, and `comparisons`, a list of `Comparison`; empty where the bytes alone decide.

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
    # A packed file of the reference's own variant is compared by its bytes, all other pairs by their outputs.
    restored = pair.packed and settings.exact is None and pair.forms[0] == pair.forms[1]
    exact = settings.exact
    if exact is None:
        exact = restored or ("lut" in pair.forms and set(pair.forms) <= {"int8", "lut"})
    found = {"exact": exact, "identical": pair.identical}
    if pair.identical or restored:
        reason = (
            "the models are the same, byte for byte" if pair.identical else "the packed file restores another model"
        )
        verdict = "passed" if pair.identical else "failed"
        told = {"passed": pair.identical, "verdict": verdict, "reason": reason, "notes": []}
        return {**told, **found, "runtime": None, "comparisons": []}
    runtime = _chosen_runtime(settings.runtime, tables=exact and "lut" in pair.forms)
    comparisons, notes = _comparisons((reference, candidate), data, runtime, settings)
    verdict, reason = _verdict(comparisons, settings.min_agreement, exact=exact)
    version = f"{runtime.package} {runtime.version}"
    told = {"passed": verdict == "passed", "verdict": verdict, "reason": reason, "notes": notes}
    return {**told, **found, "runtime": version, "comparisons": comparisons}


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
    lines = [*map(_comparison_line, found["comparisons"]), *found["notes"]]
    where = f" ({found['runtime']})" if found["runtime"] else ""
    verdict = found["verdict"]
    lines.append(f"{verdict if verdict == 'passed' else verdict.upper()}: {found['reason']}{where}")
    return "\n".join(lines)


def _comparison_line(found: Comparison) -> str:
    parts = [f"equal {found.equal:.4f}"]
    if found.agreement is not None:
        parts.append(f"agreement {found.agreement:.4f}")
    parts.append(f"largest difference {found.max_error:.6g}")
    parts.append(f"relative difference {found.relative_error:.3g}")
    if found.correlation is not None:
        parts.append(f"lowest correlation {found.correlation:.4f}")
    if found.qualities is not None and None not in (each.value for each in found.qualities):
        one, other = found.qualities
        digits = ".4g" if one.kind == "numeric" else ".4f"
        parts.append(f"{one.metric} {one.value:{digits}} and {other.value:{digits}}")
        if one.left_out:
            parts.append(f"without {one.left_out:,} positions that have no class")
    return f"{found.inputs}: {', '.join(parts)}"
