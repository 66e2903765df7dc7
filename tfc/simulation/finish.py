"""How a run ends: final model, calibration inputs, figures, and the summary that marks it as finished."""

from __future__ import annotations

import shutil
import time

from tfc.base.run_files import CHECKPOINTS, FIGURES, MODEL
from tfc.simulation.device_data import CALIBRATION_EXAMPLES, write_calibration
from tfc.simulation.experiment import Experiment
from tfc.simulation.figures import save_run_figures
from tfc.simulation.folder import FinishedRun
from tfc.simulation.folder_writer import RunFolder, writing
from tfc.simulation.global_model import GlobalModel
from tfc.simulation.summary import summarise


def finish(experiment: Experiment, folder: RunFolder, model: GlobalModel, started: float, rss_mb: float) -> None:
    """Writes what a run leaves behind; the summary last, since a folder that has it is finished.

    Args:
        experiment: The experiment.
        folder: The run's folder with all rounds.
        model: The global model after the last round.
        started: When the run started, by `time.monotonic`; earlier parts of a run that went on included.
        rss_mb: Peak memory, MB.

    Raises:
        RunError: If something can't be written.
    """
    config, dataset, out = experiment.config, experiment.dataset, folder.path
    with writing(out):
        model.save(out / MODEL)
        write_calibration(dataset, config.seed, CALIBRATION_EXAMPLES, out)
        summary = summarise(config, dataset, model.keras, folder.rounds, time.monotonic() - started, rss_mb)
        summary["model_bytes"] = (out / MODEL).stat().st_size
        save_run_figures(FinishedRun(out, summary, folder.rounds, experiment.class_counts), out / FIGURES)
        folder.write_summary(summary)
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)  # a finished run needs none
