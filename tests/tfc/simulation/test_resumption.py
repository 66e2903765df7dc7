"""What becomes of a place where a run is to be, and who may use it."""

import dataclasses
import subprocess
import sys

import pytest
from tiny_federation import model_fn

from tfc import config
from tfc.base.errors import RunError
from tfc.config import ExperimentConfig
from tfc.federated.broadcast_tracker import BroadcastTracker
from tfc.federated.model_spec import ModelSpec
from tfc.replay.recorder import PayloadRecorder
from tfc.simulation.folder import RoundMetrics
from tfc.simulation.folder_writer import RunFolder
from tfc.simulation.lock import RunLock
from tfc.simulation.resumption import differences, resumes

EXPERIMENT = ExperimentConfig()
HOLDER = """
import pathlib, sys, time
from tfc.simulation.folder import RoundMetrics
from tfc.simulation.folder_writer import RunFolder
from tfc.simulation.lock import RunLock
with RunLock(pathlib.Path(sys.argv[1])) as lock:
    lock.take()
    print("taken", flush=True)
    time.sleep(60)
"""


def decide(out, experiment=EXPERIMENT, force=False, record_payloads=False):
    return resumes(out, experiment, force=force, record_payloads=record_payloads)


def started(out, *folders):
    out.mkdir()
    (out / "config.toml").write_text(config.to_toml(EXPERIMENT))
    for folder in folders:
        (out / folder).mkdir()
    return out


def test_nothing_and_next_to_nothing_start_anew(tmp_path):
    assert not decide(tmp_path / "new" / "run")
    assert not decide(tmp_path)
    # What a process leaves that was killed before its first file was complete.
    (tmp_path / "run.lock").write_text("1\n")
    (tmp_path / ".config-a1b2c3_d.toml").write_text("")
    assert not decide(tmp_path)


def test_an_unfinished_run_goes_on_a_finished_one_stays(tmp_path):
    out = started(tmp_path / "run", "checkpoints")
    assert decide(out)
    assert not decide(out, force=True)
    (out / "summary.json").write_text("{}")
    with pytest.raises(RunError, match="already exists: choose another --out, or replace it with --force"):
        decide(out)
    assert not decide(out, force=True)


def test_changed_settings_are_named_with_both_values(tmp_path):
    out = started(tmp_path / "run", "checkpoints")
    other = dataclasses.replace(EXPERIMENT, rounds=99, data=dataclasses.replace(EXPERIMENT.data, alpha=0.25))
    assert differences(EXPERIMENT, other) == ["rounds = 12, now 99", "data.alpha = 0.5, now 0.25"]
    # What changes no result may change: a run that ran out of memory goes on with fewer clients at a time.
    assert differences(EXPERIMENT, dataclasses.replace(EXPERIMENT, max_concurrent_clients=2)) == []
    with pytest.raises(RunError, match=r"other settings: rounds = 12, now 99; data\.alpha = 0\.5, now 0\.25: go on"):
        decide(out, other)
    with pytest.raises(RunError, match="without --record-payloads, now with"):
        decide(out, record_payloads=True)
    # Keys that came later have their defaults.
    (out / "config.toml").write_text("rounds = 12\n")
    assert decide(out)
    (out / "config.toml").write_text("round = 12\n")
    with pytest.raises(RunError, match="can't go on: unknown key round"):
        decide(out)


def test_what_is_no_run_stays(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(RunError, match="is not a run"):
            decide(tmp_path, force=force)
    for place in ("/proc/run", "/dev/null/run"):
        with pytest.raises(RunError, match="cannot be written"):
            RunLock(type(tmp_path)(place)).take()
    with pytest.raises(RunError, match="/dev/null is not a folder"):
        decide(type(tmp_path)("/dev/null/run"))


def test_one_process_at_a_time_and_a_killed_one_holds_nothing(tmp_path):
    with RunLock(tmp_path) as unused:
        unused.take_if_there()
    assert list(tmp_path.iterdir()) == []
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "taken\n"
    with RunLock(tmp_path) as lock, pytest.raises(RunError, match=f"in use by process {holder.pid}: let it finish"):
        lock.take_if_there()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with RunLock(tmp_path) as lock:
        lock.take()
        lock.take()
    assert (tmp_path / "run.lock").read_text() == ""


def test_what_is_half_written_is_told_from_the_users_own_hidden_files(tmp_path):
    row = RoundMetrics(1, 0.5, 1.0, 0, 0.0, 1, 1, 0, 0.0, 2, 0, 1.0)
    (tmp_path / "checkpoints").mkdir()
    for name in (".metrics-a1b2c3d4.csv", "checkpoints/.round-2-abcdefg_", ".gitkeep", "notes.txt"):
        (tmp_path / name).write_text("x")
    assert RunFolder(tmp_path, [row]).rounds == (row,)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".gitkeep", "checkpoints", "metrics.csv", "notes.txt"]


def test_a_recorder_keeps_what_a_client_may_still_be_sent(tmp_path):
    spec = ModelSpec.of(model_fn, "none", 1, from_seed=False)
    broadcasts = {number: bytes(100 * number) for number in range(1, 6)}
    recorder = PayloadRecorder(tmp_path, spec, 5, broadcasts)
    tracker = BroadcastTracker([100, 200, 300, 400, 500], {0: 5, 1: 2})
    assert list(recorder.needed(tracker, 3)) == [1, 2, 3, 4, 5]  # client 2 never took part
    assert list(recorder.needed(tracker, 2)) == [3, 4, 5]
    assert list(recorder.needed(tracker, 3)) == [3, 4, 5]  # the others are forgotten
    tracker.payload_bytes[3] = 100_000  # nobody is sent a chain that is longer than the model
    assert list(recorder.needed(tracker, 3)) == [5]
