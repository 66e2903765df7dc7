"""The model of any round of a recorded run as a Keras file: what clients were sent then."""

from __future__ import annotations

from pathlib import Path

from tfc import config
from tfc.base.atomic_write import atomic_write
from tfc.base.errors import ModelFileError, RunError
from tfc.base.run_files import CONFIG, MODEL
from tfc.clustering.layout import layout_of
from tfc.codec.palette import dequantize
from tfc.federated.model_weights import assign
from tfc.keras_files.loading import load_model
from tfc.replay.replay import broadcast_model


def write_round_model(run: Path, round_number: int, out: Path) -> None:
    """Writes the model that clients were sent in a round, the one that the round before ended with.

    Args:
        run: Folder of a finished run that recorded its payloads.
        round_number: From 1.
        out: The Keras file.

    Raises:
        RunError: If the run is not finished, has no payloads, or has no such round.
    """
    if out.suffix != ".keras":
        raise RunError(f"{out}: the file's name must end with .keras")
    source = run / MODEL
    if not source.is_file():
        raise RunError(f"{run}: has no {MODEL} yet; let the run finish first")
    broadcast = broadcast_model(run, round_number)
    settings = config.load(str(run / CONFIG))
    try:
        model = load_model(source)
    except ModelFileError as error:
        raise RunError(str(error)) from error
    layers = settings.clustering.layers if broadcast.palettes else "none"
    layout = layout_of(model, layers, settings.clustering.max_clusters)
    assign(model, layout, [dequantize(palette) for palette in broadcast.palettes], broadcast.others)
    with atomic_write(out) as temporary:
        model.save(temporary)
