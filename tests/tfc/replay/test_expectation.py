"""A replay takes its list from the configuration and the metrics, not from the files it finds."""

import csv
import json
import os
import shutil

import pytest
from recorded_runs import recorded_run

from tfc.base.errors import RunError, TfcError
from tfc.replay.replay import replay
from tfc.simulation.folder import read_run


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return recorded_run(tmp_path_factory.mktemp("recorded") / "sound")


@pytest.fixture
def run(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "run")
    return tmp_path / "run"


def edit_json(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def set_cell(run, row, column, value):
    rows = list(csv.reader((run / "metrics.csv").read_text().splitlines()))
    rows[row][rows[0].index(column)] = value
    with (run / "metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def without_digests(place):
    edit_json(place / "digests.json", lambda values: values.pop("payloads"))


def test_a_sound_run_is_confirmed(run):
    rounds = replay(run)
    assert [row.round for row in rounds] == [1, 2, 3, 4]
    assert all(row.broadcast_equal and row.mean_equal for row in rounds)


def test_frozen_weights_are_in_the_metrics_and_not_in_the_payloads(run):
    """Three clients get them once, in round 1."""
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    set_cell(run, 1, "downlink_bytes", int(rows[0]["downlink_bytes"]) + 3 * 40)
    with pytest.raises(RunError, match="bytes down, but"):
        replay(run)
    edit_json(run / "summary.json", lambda values: values.update(start_bytes=3 * 40))
    assert all(row.broadcast_equal and row.mean_equal for row in replay(run))
    edit_json(run / "summary.json", lambda values: values.update(start_bytes="120"))
    with pytest.raises(RunError, match=r"summary\.json: .*start_bytes"):
        replay(run)


DAMAGES = {
    "a round in the middle is missing": lambda p: shutil.rmtree(p / "round-002"),
    "the last round is missing": lambda p: shutil.rmtree(p / "round-004"),
    "all rounds but one are missing": lambda p: [shutil.rmtree(p / f"round-00{n}") for n in (2, 3, 4)],
    "a round is renamed": lambda p: (p / "round-002").rename(p / "round-2"),
    "a round too many": lambda p: shutil.copytree(p / "round-001", p / "round-005"),
    "a round 0": lambda p: shutil.copytree(p / "round-001", p / "round-000"),
    "a round without a number": lambda p: shutil.copytree(p / "round-001", p / "round-x"),
    "an empty list of answers": lambda p: edit_json(p / "round-002/digests.json", lambda v: v.update(answers=[])),
    "an empty list and no answers": lambda p: (
        edit_json(p / "round-002/digests.json", lambda v: v.update(answers=[])),
        [path.unlink() for path in (p / "round-002").glob("up-*")],
        without_digests(p / "round-002"),
    ),
    "answers named twice": lambda p: edit_json(p / "round-002/digests.json", lambda v: v.update(answers=[0, 1, 1, 2])),
    "a text for a list": lambda p: edit_json(p / "round-002/digests.json", lambda v: v.update(answers="012")),
    "a path in the list": lambda p: edit_json(p / "round-002/digests.json", lambda v: v.update(answers=["../x"])),
    "no digest of the mean": lambda p: edit_json(p / "round-002/digests.json", lambda v: v.update(mean=None)),
    "no digests": lambda p: (p / "round-002/digests.json").unlink(),
    "no messages at all": lambda p: (
        [path.unlink() for path in (p / "round-002").glob("*.fc")],
        edit_json(p / "round-002/digests.json", lambda v: v.update(answers=[], payloads={})),
    ),
    "a client too many": lambda p: shutil.copy(p / "round-002/down-000-1.fc", p / "round-002/down-007-1.fc"),
    "a client less": lambda p: (
        [(p / f"round-002/{name}").unlink() for name in ("down-001-1.fc", "up-001.fc")],
        edit_json(p / "round-002/digests.json", lambda v: v.update(answers=[0, 2])),
        without_digests(p / "round-002"),
    ),
    "a message less": lambda p: (p / "round-002/down-001-1.fc").rename(p / "round-002/down-001-2.fc"),
    "another name": lambda p: (p / "round-002/down-x-1.fc").write_bytes(b""),
    "answers of two clients swapped": lambda p: (
        (p / "round-002/up-000.fc").rename(p / "t"),
        (p / "round-002/up-001.fc").rename(p / "round-002/up-000.fc"),
        (p / "t").rename(p / "round-002/up-001.fc"),
    ),
    "a FIFO for an answer": lambda p: (
        (p / "round-002/up-000.fc").unlink(),
        os.mkfifo(p / "round-002/up-000.fc"),
    ),
    "a FIFO for the form of messages": lambda p: ((p / "spec.json").unlink(), os.mkfifo(p / "spec.json")),
    "a folder for an answer": lambda p: ((p / "round-002/up-000.fc").unlink(), (p / "round-002/up-000.fc").mkdir()),
    "a sparse answer of 10 GB": lambda p: os.truncate(p / "round-002/up-000.fc", 10 << 30),
    "a deep nest": lambda p: (p / "round-002/digests.json").write_text("[" * 200_000),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_missing_left_over_or_exchanged_is_named(run, damage):
    damage(run / "payloads")
    with pytest.raises(RunError) as refused:
        replay(run)
    said = str(refused.value)
    assert "\n" not in said and (str(run / "payloads") in said), said


@pytest.mark.parametrize(
    "column,value", [("uplink_bytes", "1"), ("downlink_bytes", "1"), ("clients_ok", "2"), ("round", "3")]
)
def test_metrics_that_disagree_with_the_payloads_are_refused(run, column, value):
    set_cell(run, 2, column, value)
    with pytest.raises(TfcError, match=r"metrics\.csv|round-002"):
        replay(run)


def test_a_row_or_a_configuration_less_is_refused(run):
    text = (run / "metrics.csv").read_text().splitlines(keepends=True)
    (run / "metrics.csv").write_text("".join(text[:-1]))
    with pytest.raises(RunError, match=r"its rounds are 1, 2, 3; config\.toml has rounds 1 to 4"):
        replay(run)
    (run / "config.toml").unlink()
    with pytest.raises(RunError, match=r"config\.toml is missing"):
        replay(run)


SPEC = {
    "a huge kernel": lambda v: v["downlink"].update(other_shapes=[[10**6, 10**6], [3]]),
    "a large kernel": lambda v: v["downlink"].update(other_shapes=[[3 * 10**8], [3]]),
    "a negative shape": lambda v: v["downlink"].update(other_shapes=[[-3, 4], [3]]),
    "clusters as text": lambda v: v["downlink"].update(max_clusters="x"),
    "no clusters": lambda v: v["downlink"].update(max_clusters=0),
    "clusters as float": lambda v: v["downlink"].update(max_clusters=20.0),
    "negative scalars": lambda v: v["downlink"].update(num_scalars=-1),
    "no scalars": lambda v: v["uplink"].update(num_scalars=0),
    "unknown kinds": lambda v: v["downlink"].update(kinds=[9]),
    "bits": lambda v: v["uplink"].update(other_bits=10**9),
    "an unknown key": lambda v: v["uplink"].update(surprise=1),
    "flags of another length": lambda v: v["uplink"].update(relative_others=[True]),
}


@pytest.mark.parametrize("change", SPEC.values(), ids=SPEC)
def test_an_impossible_form_of_messages_is_refused(run, change):
    edit_json(run / "payloads" / "spec.json", change)
    with pytest.raises(RunError):
        replay(run)


@pytest.mark.parametrize(
    "name,value",
    [
        ("final_accuracy", 0.99),
        ("last3_accuracy", 0.99),
        ("best_accuracy", 0.99),
        ("uplink_bytes", 1),
        ("downlink_bytes", 1),
        ("communication_ratio", 99.0),
        ("fedavg_bytes", 1),
        ("num_clusters", 7),
        ("rounds", 5),
        ("method", "fedcompress"),
        ("seed", 17),
    ],
)
def test_a_summary_that_disagrees_with_the_metrics_is_refused(run, name, value):
    assert read_run(run).summary["method"] == "fedavg"
    edit_json(run / "summary.json", lambda values: values.update({name: value}))
    with pytest.raises(RunError, match=rf"{name} is {value} in summary.json"):
        read_run(run)


def test_no_file_of_a_run_is_waited_for(run):
    for name in ("summary.json", "metrics.csv", "config.toml", "clients.csv"):
        content = (run / name).read_bytes()
        (run / name).unlink()
        os.mkfifo(run / name)
        with pytest.raises(TfcError, match=rf"{name}: not .*: not a regular file"):
            read_run(run)
        (run / name).unlink()
        (run / name).write_bytes(content)
    assert len(read_run(run).rounds) == 4
