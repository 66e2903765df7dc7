"""`edge export` in a process of its own: a crash of TensorFlow Lite's native converter becomes an error.

One process makes all variants of a model, and TensorFlow is imported there alone. It is told its work in one line of
JSON on standard input, and says in lines of JSON on standard output what it begins and, in the last one, what it did.
Progress and warnings go to standard error, which it shares with the command. The parent needs the standard library.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfc.base import errors
from tfc.base.errors import EdgeError, ModelFileError

LOADING = "loading the model"
_OPEN_FILE = re.compile(r"/dev/fd/(\d+)")


@dataclass(frozen=True)
class ExportRequest:
    """What `edge export` was asked for.

    Attributes:
        source: The Keras model.
        out: Folder for the files.
        variants: Names of variants.
        calibration: NPZ with the representative data set; None for the one beside the model.
        name: Start of the files' names; None for the model's.
        train: NPZ with examples to train on; None for none.
        clusters: Clusters per kernel; 0 for none.
        cqat: Whether to train on, quantised.
        epochs: Epochs of training.
        learning_rate: Of training.
        seed: Of training.
        progress: Whether a bar is shown.
        allow_disagreement: Whether variants that differ much from the float model are written.
        verbose: Whether steps are told.
    """

    source: str
    out: str
    variants: tuple[str, ...]
    calibration: str | None
    name: str | None
    train: str | None
    clusters: int
    cqat: bool
    epochs: int
    learning_rate: float
    seed: int
    progress: bool
    allow_disagreement: bool
    verbose: bool


def _export(request: ExportRequest, said: Any) -> dict[str, Any]:
    from edge.conversion.calibration import read_training
    from edge.conversion.clustering import ClusterSettings, prepare
    from edge.conversion.kernel_fates import format_fates
    from edge.conversion.variants import export

    settings = ClusterSettings(request.clusters, request.cqat, request.epochs, request.learning_rate)

    def prepared(model: Any) -> Any:
        if settings.clusters or settings.cqat:
            said("preparing the model")
        data = read_training(Path(request.train), model) if request.train else None
        return prepare(model, settings, data, request.seed, progress=request.progress)

    done = export(
        request.source,
        request.out,
        tuple(request.variants),
        request.calibration,
        request.name,
        prepared,
        allow_disagreement=request.allow_disagreement,
        started=lambda what: said(f"converting to {what}"),
    )
    return {
        "paths": {variant: str(path) for variant, path in done.paths.items()},
        "lost_palettes": done.lost_palettes,
        "left_out": done.left_out,
        "differences": done.differences,
        "kernels": format_fates(done.kernels) if done.kernels else "",
    }


def main() -> int:
    """Does the work that a line on standard input asks for."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(**what: Any) -> None:
        answers.write(json.dumps(what) + "\n")

    request = ExportRequest(**json.loads(sys.stdin.readline()))
    if request.verbose:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        say(result=_export(request, lambda stage: say(stage=stage)))
    except errors.FedCompressError as error:
        say(error=str(error), kind=type(error).__name__)
    except ImportError as error:
        say(
            error=f"export needs TensorFlow ({error}): run 'pip install --no-deps -r requirements.txt' on a "
            "workstation",
            kind="EdgeError",
        )
    except OSError as error:
        say(error=f"{error.filename or request.source}: {error.strerror or error}", kind="EdgeError")
    except MemoryError:
        say(error=f"{request.source}: not enough memory", kind="ModelFileError")
    except KeyboardInterrupt:
        return 130
    return 0


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    if code == -signal.SIGKILL:
        return "killed, perhaps for want of memory"
    return signal.strsignal(-code) or f"signal {-code}"


def export_apart(request: ExportRequest) -> dict[str, Any]:
    """Exports a model in a process of its own.

    Args:
        request: What to do.

    Returns:
        `paths`, `lost_palettes`, `left_out` and `differences` of `edge.Exported`; `kernels` as a table.

    Raises:
        FedCompressError: Whatever the export raised; ModelFileError where the process crashed.
    """
    # A shell's <(...) is the name of an open file.
    names = map(_OPEN_FILE.fullmatch, (request.calibration or "", request.train or ""))
    inherited = [int(name[1]) for name in names if name]
    # Not -m, which would put the working folder before everything that is imported.
    words = [
        sys.executable,
        "-c",
        f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; sys.exit(main())",
    ]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=inherited)
    assert process.stdin is not None and process.stdout is not None
    stage, last = LOADING, {}
    with process:
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(json.dumps(asdict(request)) + "\n")
            for line in process.stdout:
                last = json.loads(line)
                stage = last.get("stage", stage)
            code = process.wait()
        except BaseException:
            process.terminate()
            raise
    if "result" in last:
        result: dict[str, Any] = last["result"]
        return result
    if "error" in last:
        raise getattr(errors, last["kind"], EdgeError)(last["error"])
    raise ModelFileError(
        f"{request.source}: TensorFlow's native code crashed while {stage} ({_cause(code)}); nothing was written; "
        "other variants may work"
    )
