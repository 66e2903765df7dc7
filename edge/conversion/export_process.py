"""`edge export` in a process of its own: a crash of TensorFlow Lite's native converter becomes an error.

One process makes all variants of a model, and TensorFlow is imported there alone. The parent needs the standard
library.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfc.base.errors import EdgeError, ModelFileError
from tfc.base.separate_process import ProcessCrashedError, Say, call_apart


@dataclass(frozen=True)
class ExportRequest:
    """What `edge export` was asked for.

    Attributes:
        source: The model.
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
        allow_disagreement: Whether variants that differ much from the given model are written.
        trust: Whether a SavedModel may be loaded.
        bits: Mean bits per weight of palettes; None for no such goal.
        target_bytes: Largest size of the packed file; None likewise.
        max_loss: Largest loss of palettes; None likewise.
        sweep: Whether the bytes and agreements of several numbers of clusters are compared.
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
    trust: bool = False
    bits: float | None = None
    target_bytes: int | None = None
    max_loss: float | None = None
    sweep: bool = False


def export_here(asked: dict[str, Any], say: Say) -> dict[str, Any]:
    """Exports a model in this process.

    Args:
        asked: The fields of an `ExportRequest`.
        say: Told what is begun.

    Returns:
        As `export_apart`.
    """
    from edge.conversion.calibration import read_training
    from edge.conversion.clustering import ClusterSettings, prepare
    from edge.conversion.kernel_fates import format_fates
    from edge.conversion.palette_budget import PaletteSettings
    from edge.conversion.palette_sweep import format_sweep
    from edge.conversion.variants import export

    request = ExportRequest(**asked)
    # Clusters are made while a Keras model trains, where it does; otherwise after the conversion.
    trained = request.cqat or request.train is not None
    clusters = request.clusters if trained else 0
    settings = ClusterSettings(clusters, request.cqat, request.epochs, request.learning_rate)
    goals = {"bits": request.bits, "target_bytes": request.target_bytes, "max_loss": request.max_loss}
    palettes = None
    if (request.clusters and not trained) or any(goal is not None for goal in goals.values()):
        palettes = PaletteSettings(request.clusters or None, **goals)  # type: ignore[arg-type]

    def prepared(model: Any) -> Any:
        if settings.clusters or settings.cqat:
            say("preparing the model")
        data = read_training(Path(request.train), model) if request.train else None
        return prepare(model, settings, data, request.seed, progress=request.progress)

    done = export(
        request.source,
        request.out,
        tuple(request.variants),
        request.calibration,
        request.name,
        prepared,
        palettes=palettes,
        allow_disagreement=request.allow_disagreement,
        trust=request.trust,
        sweep=request.sweep,
        started=lambda what: say(f"converting to {what}"),
        progress=request.progress,
    )
    return {
        "paths": {variant: str(path) for variant, path in done.paths.items()},
        "lost_palettes": done.lost_palettes,
        "left_out": done.left_out,
        "differences": done.differences,
        "agreements": done.agreements,
        "kernels": format_fates(done.kernels) if done.kernels else "",
        "palettes": [asdict(palette) for palette in done.palettes],
        "left_kernels": done.left_kernels,
        "sweep": format_sweep(done.sweep) if done.sweep else "",
    }


def export_apart(request: ExportRequest) -> dict[str, Any]:
    """Exports a model in a process of its own.

    Args:
        request: What to do.

    Returns:
        The fields of `edge.Exported`; `kernels` and `sweep` as tables.

    Raises:
        FedCompressError: Whatever the export raised; ModelFileError where the process crashed.
    """
    try:
        result: dict[str, Any] = call_apart(
            f"{__name__}:{export_here.__name__}",
            asdict(request),
            files=[each for each in (request.calibration, request.train) if each],
        )
    except ImportError as error:
        raise EdgeError(
            f"export needs TensorFlow ({error}): run 'pip install --no-deps -r requirements.txt' on a workstation"
        ) from error
    except MemoryError as error:
        raise ModelFileError(f"{request.source}: not enough memory") from error
    except ProcessCrashedError as error:
        raise ModelFileError(
            f"{request.source}: TensorFlow's native code crashed while {error.stage or 'loading the model'} "
            f"({error.cause}); nothing was written; other variants may work"
        ) from error
    return result
