"""What a run leaves to be watched: log, TensorBoard's events, `tfc status`."""

import logging
import os
import platform
import subprocess
import sys

import numpy as np
import psutil
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorflow import make_ndarray

from tfc.base.errors import RunError
from tfc.cli import main
from tfc.simulation.folder import RoundMetrics
from tfc.simulation.log import console_log, is_alive, log_file
from tfc.simulation.observer import RunObserver
from tfc.simulation.status import read_status


def row(number, **changes):
    values = {name: 0 if kind == "int" else 0.0 for name, kind in RoundMetrics.__annotations__.items()}
    return RoundMetrics(**{**values, "round": number, "clients_ok": 3, **changes})


class Nested:
    def __init__(self, **values):
        self.__dict__.update(values)


def broadcast(*books):
    return Nested(model=Nested(palettes=[Nested(codebook=np.array(book, np.float32)) for book in books]))


@pytest.fixture
def observed(tmp_path):
    with pytest.raises(ZeroDivisionError), RunObserver(tmp_path, 3, "fedcompress", {"numpy": "1.2"}) as observer:
        observer.add_round(row(1, accuracy=0.25, uplink_bytes=7), broadcast([-1, 0, 1, 1e9], [2, 1e9, 1e9, 1e9]))
        observer.add_round(row(2, accuracy=0.5, clients_failed=2), Nested())
        logging.getLogger("py.warnings").warning("a library is old")
        raise ZeroDivisionError("by nothing")
    return tmp_path


def test_tensorboard_has_scalars_of_every_round_and_codebooks_without_unused_slots(observed):
    events = EventAccumulator(str(observed / "tensorboard"), {"tensors": 0})
    events.Reload()

    accuracies = [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors("accuracy")]
    assert accuracies == [(1, 0.25), (2, 0.5)]
    tags = set(events.Tags()["tensors"])
    assert tags == {name for name in RoundMetrics.__annotations__ if name != "round"} | {"codebook/00", "codebook/01"}
    (histogram,) = events.Tensors("codebook/00")
    bins = make_ndarray(histogram.tensor_proto)  # rows: left edge, right edge, count
    assert (bins[0, 0], bins[-1, 1], bins[:, 2].sum()) == (-1, 1, 3)


def test_the_log_has_versions_rounds_warnings_and_the_end(observed):
    lines = [line.split(" ", 1)[1] for line in (observed / "run.log").read_text().splitlines()]
    assert lines[1] == "INFO versions: numpy 1.2"
    assert lines[2].startswith("INFO round 1 of 3: accuracy 0.2500")
    assert lines[4:] == [
        "WARNING round 2: 2 clients did not count",
        "WARNING a library is old",
        "ERROR ended: ZeroDivisionError: by nothing",
    ]
    # Whoever logs afterwards does not write there.
    logging.getLogger("tfc.later").warning("late")
    assert "late" not in (observed / "run.log").read_text()


@pytest.mark.parametrize("level,shown", [("ERROR", 0), ("WARNING", 1), ("INFO", 2)])
def test_the_console_shows_what_was_asked_for_and_the_file_everything(tmp_path, capsys, level, shown):
    with console_log(getattr(logging, level)), log_file(tmp_path):
        logging.getLogger("tfc.x").info("round done")
        logging.getLogger("tfc.x").warning("slow")
    assert len(capsys.readouterr().err.splitlines()) == shown
    assert len((tmp_path / "run.log").read_text().splitlines()) == 2


def test_handlers_of_the_root_logger_get_what_they_would_get_without_a_run(tmp_path):
    shown = []
    handler = logging.Handler()
    handler.emit = lambda record: shown.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    try:
        with log_file(tmp_path):
            logging.getLogger("tfc.x").info("round done")
            logging.getLogger("tfc.x").warning("slow")
        logging.getLogger("tfc.x").warning("after the run")
    finally:
        logging.getLogger().removeHandler(handler)
    assert shown == ["slow", "after the run"]


def make_run(path, process, *, rounds=4, done=2):
    path.mkdir()
    (path / "config.toml").write_text(f"rounds = {rounds}\n")
    header = "round,accuracy,loss,num_clusters,quality_score,uplink_bytes,downlink_bytes,key_frame_bytes,rate_weight,"
    rows = [f"{number},{number / 10},1.0,0,0.0,1000,500,0,0.0,2,0,6.0\n" for number in range(1, done + 1)]
    (path / "metrics.csv").write_text(header + "clients_ok,clients_failed,seconds\n" + "".join(rows))
    log = [f"2026-01-01T00:00:00+0000 INFO fedavg: {process}"]
    log += [
        f"2026-01-01T00:00:{10 * number:02}+0000 INFO round {number} of {rounds}: x" for number in range(1, done + 1)
    ]
    (path / "run.log").write_text("\n".join(log) + "\n")
    return path


NEW_YEAR = 1767225600  # 2026-01-01 in UTC


def test_status_of_a_run_under_way(tmp_path):
    me = f"process {os.getpid()} on {platform.node()} since {psutil.Process().create_time():.2f}"
    status = read_status(make_run(tmp_path / "run", me), now=NEW_YEAR + 24)
    assert (status.state, status.done, status.rounds) == ("running", 2, 4)
    assert (status.accuracy, status.uplink_bytes, status.downlink_bytes) == (0.2, 2000, 1000)
    # Ten seconds from log line to log line, of which four have passed.
    assert (status.round_seconds, status.seconds_left) == (10, 16)


def test_status_of_runs_that_ended(tmp_path, capsys):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    gone = make_run(tmp_path / "gone", f"process {ended.pid} on {platform.node()} since 5.0")
    assert read_status(gone).state == "not running" and read_status(gone).seconds_left is None
    # The number of a process that ended was given to another one.
    again = make_run(tmp_path / "again", f"process {os.getpid()} on {platform.node()} since 5.0")
    assert read_status(again).state == "not running"
    elsewhere = make_run(tmp_path / "elsewhere", "process 1 on another-host since 5.0", done=0)
    assert read_status(elsewhere).state == "unknown" and read_status(elsewhere).accuracy is None
    (gone / "summary.json").write_text("{}")
    assert main(["status", str(gone)]) == 0
    assert "finished" in capsys.readouterr().out
    assert is_alive(1, "another-host", 0) is None


def test_what_is_no_run_or_damaged_is_refused(tmp_path):
    with pytest.raises(RunError, match="not a run's folder"):
        read_status(tmp_path)
    damaged = make_run(tmp_path / "run", "x")
    (damaged / "metrics.csv").write_text("round,accuracy\n1,x\n")
    with pytest.raises(RunError, match="damaged"):
        read_status(damaged)


def test_a_run_can_be_watched(tiny_settings, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = [part for text in tiny_settings for part in ("--set", text)]
    changes = ["--set", "method=fedavg", "--set", "rounds=2"]
    assert main(["run", "demo", *arguments, *changes, "--out", str(out), "--verbose"]) == 0
    assert capsys.readouterr().err.count("INFO: round ") == 2
    status = read_status(out)
    assert (status.state, status.done) == ("finished", 2)
    events = EventAccumulator(str(out / "tensorboard"), {"tensors": 0})
    events.Reload()
    assert len(events.Tensors("accuracy")) == 2
    assert (out / "run.log").read_text().count(" INFO round ") == 2
