"""What tables and figures say of a run's data: synthetic ones, and who holds what."""

from pathlib import Path

import pytest

from tfc.report.figures import examples_of_clients
from tfc.report.tables import comparison_table
from tfc.simulation.folder import FinishedRun


def finished(name, counts=(), **summary):
    numbers = {"final_accuracy": 0.5, "last3_accuracy": 0.5, "uplink_bytes": 1, "downlink_bytes": 1}
    whole = {"method": "fedavg", "rounds": 1, "num_clusters": 0, "communication_ratio": 1.0, **numbers, **summary}
    return FinishedRun(Path(name), whole, (), counts)


def test_synthetic_data_are_named_as_such():
    table = comparison_table([finished("a", synthetic=True), finished("b", synthetic=False), finished("c")])
    assert [row[0] for row in table.rows] == ["a (synthetic data)", "b", "c"]


@pytest.mark.parametrize("old", [False, True])
def test_runs_with_the_same_partition_share_a_panel(old):
    runs = [finished("a", ((3, 0), (1, 2))), finished("b", ((3, 0), (1, 2))), finished("c", ((2, 1), (2, 1)))]
    figure = examples_of_clients([*runs, finished("d")] if old else runs)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["a, b", "c", *(["d"] if old else [])]
    assert panels[0].get_images()[0].get_array().tolist() == [[3, 0], [1, 2]]
    assert not old or [text.get_text() for text in panels[2].texts] == ["not recorded"]
