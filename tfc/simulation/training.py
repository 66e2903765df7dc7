"""The training of a run: one round after the other, each of them evaluated and kept."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import tensorflow_federated as tff

from tfc.base.freed_memory import give_back
from tfc.base.run_files import CHECKPOINTS
from tfc.federated.kept_broadcasts import KeptBroadcasts
from tfc.replay.recorder import PayloadRecorder
from tfc.simulation.checkpoints import Checkpoint, write_checkpoint
from tfc.simulation.experiment import Experiment
from tfc.simulation.folder import RoundMetrics
from tfc.simulation.folder_writer import RunFolder, writing
from tfc.simulation.global_model import GlobalModel
from tfc.simulation.round import PlayedRound, play_round


class Training:
    """The training of a run that is under way.

    Attributes:
        round: Number of the latest round, from 1; 0 before the first.
        folder: Writes the run's folder.
    """

    def __init__(
        self,
        experiment: Experiment,
        process: tff.learning.templates.LearningProcess,
        folder: RunFolder,
        model: GlobalModel,
        recorder: PayloadRecorder | None,
        kept: KeptBroadcasts | None,
        start: Checkpoint,
        started: float,
    ) -> None:
        """Goes on after a round; the global model takes over its weights.

        Args:
            experiment: The experiment.
            process: Its learning process.
            folder: The run's folder.
            model: Evaluates the weights.
            recorder: Records payloads; None for none.
            kept: Old broadcasts, for catch-up messages; None where the server keeps none.
            start: The run after the round after which it goes on.
            started: When the run started, by `time.monotonic`; earlier parts of a run that goes on included.
        """
        self._experiment, self._process, self.folder = experiment, process, folder
        self._model, self._recorder, self._kept, self._started = model, recorder, kept, started
        self.round, self._state, self._tracker = start.round, start.state, start.tracker
        self._update_model()

    @property
    def seconds(self) -> float:
        """Seconds since the run started; earlier parts of a resumed run included."""
        return time.monotonic() - self._started

    @property
    def clients_started(self) -> int:
        """Number of clients that were sent a broadcast so far."""
        return len(self._tracker.last_held)

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @property
    def rows(self) -> tuple[RoundMetrics, ...]:
        """Rows of metrics.csv so far."""
        return self.folder.rounds

    @property
    def broadcast(self) -> Any:
        """What the server holds for the next round."""
        return self._state.global_model_weights

    def _update_model(self) -> None:
        self._model.assign(self._process.get_model_weights(self._state))

    def play_round(self) -> RoundMetrics:
        """Trains, evaluates and keeps the next round.

        Raises:
            RunError: If too few clients answer, or something can't be written.
        """
        self.round += 1
        started = time.monotonic()
        played = self._train()
        seconds = time.monotonic() - started
        if not self.rows:
            give_back()  # what compiling needed
        self._update_model()
        loss, accuracy = self._model.evaluate()
        metrics = _round_metrics(self.round, accuracy, loss, played, seconds)
        self._keep(metrics)
        return metrics

    def _train(self) -> PlayedRound:
        broadcast, experiment = self.broadcast, self._experiment
        played = play_round(
            experiment.config, self._process, self._state, experiment.clients, self._tracker, self.round, self._kept
        )
        self._state = played.state
        if self._recorder:
            with writing(self.path):
                catch_up = self._kept.message if self._kept else lambda since: b""
                self._recorder.add(self.round, broadcast, played.shipments, played.metrics, catch_up)
        return played

    def _keep(self, metrics: RoundMetrics) -> None:
        """Writes the round's row, then its checkpoint: a run is resumed after the last round that has both."""
        clients = self._experiment.config.data.num_clients
        needed = self._recorder.needed(self._tracker, clients) if self._recorder else {}
        kept = self._kept.keep(self._tracker.last_held) if self._kept else {}
        with writing(self.path):
            self.folder.add_round(metrics)
            checkpoint = Checkpoint(self.round, self._state, self._tracker, self.rows, self.seconds, needed, kept)
            write_checkpoint(self.path / CHECKPOINTS, checkpoint)


def _round_metrics(
    round_number: int, accuracy: float, loss: float, played: PlayedRound, seconds: float
) -> RoundMetrics:
    finalizer = played.metrics["finalizer"]
    return RoundMetrics(
        round_number,
        round(accuracy, 6),
        round(loss, 6),
        num_clusters=int(finalizer["num_clusters"]),
        quality_score=round(float(finalizer["quality_score"]), 6),
        uplink_bytes=played.uplink_bytes,
        downlink_bytes=played.downlink_bytes,
        downlink_key_frame_bytes=played.downlink_key_frame_bytes,
        downlink_catch_up_bytes=played.downlink_catch_up_bytes,
        key_frame_bytes=int(played.metrics["distributor"]["key_frame_bytes"]),
        rate_weight=round(float(finalizer["rate_weight"]), 6),
        clients_ok=played.clients_ok,
        clients_failed=played.clients_failed,
        seconds=round(seconds, 3),
        clients_dropped=played.clients_dropped,
        clients_not_finite=played.clients_not_finite,
        clients_corrupt=played.clients_corrupt,
        clients_late=played.clients_late,
        attempts=played.attempts,
        simulated_seconds=round(played.simulated_seconds, 3),
    )
