"""How a run ends: final model, calibration inputs, figures, and the summary that marks it as finished."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from tfc.base.errors import RunError
from tfc.base.run_files import CHECKPOINTS, FIGURES, MODEL
from tfc.simulation.device_data import CALIBRATION_EXAMPLES, write_calibration
from tfc.simulation.experiment import Experiment
from tfc.simulation.figures import save_run_figures
from tfc.simulation.folder import FinishedRun, RoundMetrics
from tfc.simulation.folder_writer import writing
from tfc.simulation.global_model import GlobalModel
from tfc.simulation.summary import ModelSizes, summarise
from tfc.simulation.training import Training


def finish(experiment: Experiment, training: Training, model: GlobalModel, rss_mb: float) -> None:
    """Writes what a run leaves behind; the summary last, since a folder that has it is finished.

    Args:
        experiment: The experiment.
        training: The training after the last round.
        model: The global model after the last round.
        rss_mb: Peak memory, MB.

    Raises:
        RunError: If something can't be written, or no client's update ever counted.
    """
    config, dataset, out, rows = experiment.config, experiment.dataset, training.path, training.rows
    if not any(row.clients_ok for row in rows):
        raise RunError(
            f"{out}: no client's update counted in any of {len(rows)} rounds ({_failures(rows)}): nothing was learned"
        )
    with writing(out):
        model.save(out / MODEL)
        write_calibration(dataset, config.seed, CALIBRATION_EXAMPLES, out)
        sizes = ModelSizes(model.keras.count_params(), model.parameters, model.frozen_bytes * training.clients_started)
        summary = summarise(config, dataset, sizes, rows, training.seconds, rss_mb)
        summary["model_bytes"] = (out / MODEL).stat().st_size
        save_run_figures(FinishedRun(out, summary, rows, experiment.class_counts), out / FIGURES)
        training.folder.write_summary(summary)
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)  # a finished run needs none


def _failures(rows: Sequence[RoundMetrics]) -> str:
    """Why clients did not count, and how often."""
    kinds = {
        "dropped": sum(row.clients_dropped for row in rows),
        "not finite": sum(row.clients_not_finite for row in rows),
        "corrupt": sum(row.clients_corrupt for row in rows),
        "late": sum(row.clients_late for row in rows),
    }
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count) or "no client answered"
