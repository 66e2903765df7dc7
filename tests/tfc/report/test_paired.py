"""Paired differences over seeds, against SciPy, and in the comparison's table."""

import numpy as np
import pytest
from finished_runs import finished
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tfc.report.paired import paired_difference
from tfc.report.tables import mean_numbers, mean_table

FIGURES = st.dictionaries(st.integers(0, 9), st.floats(0, 1).map(lambda value: round(value, 3)), min_size=2)


@given(FIGURES, FIGURES)
def test_mean_and_interval_are_scipys_on_the_common_seeds(own, other):
    found = paired_difference(own, other)
    seeds = sorted(own.keys() & other.keys())
    if not seeds:
        assert found is None
        return
    differences = np.array([own[seed] - other[seed] for seed in seeds])
    assert found.mean == pytest.approx(differences.mean(), abs=1e-12) and found.seeds == len(seeds)
    if len(seeds) == 1:
        assert found.low is None and not found.excludes_zero
        return
    if np.ptp(differences) > 1e-9:
        low, high = stats.t.interval(0.95, len(seeds) - 1, differences.mean(), stats.sem(differences))
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
        assert found.excludes_zero == (stats.ttest_1samp(differences, 0).pvalue < 0.05)


def compared(folder, name, finals, seeds, **settings):
    rows = zip(seeds, finals, strict=True)
    return [finished(folder, f"{name}-seed{seed}", [final] * 3, 100, seed, **settings) for seed, final in rows]


def test_the_table_calls_better_only_what_zero_is_excluded_for(tmp_path):
    runs = [
        *compared(tmp_path, "fedavg", [0.80, 0.82, 0.81], [0, 1, 2], method="fedavg"),
        *compared(tmp_path, "better", [0.81, 0.831, 0.82], [0, 1, 2], **{"training.batch_size": 16}),
        *compared(tmp_path, "unclear", [0.79, 0.83, 0.80], [0, 1, 2], **{"training.batch_size": 8}),
        *compared(tmp_path, "once", [0.90], [2], **{"training.batch_size": 4}),
        *compared(tmp_path, "elsewhere", [0.90], [7], **{"training.batch_size": 2}),
    ]
    table = mean_table(runs)
    column = table.header.index("points to FedAvg")
    cells = {row[0]: row[column] for row in table.rows}
    assert cells["better"] == "**+1.03 (+0.89 to +1.18)**"
    assert cells["unclear"] == "-0.33 (-3.20 to +2.54)"
    assert cells["once"] == "+9.00" and cells["elsewhere"] == cells["fedavg"] == "-"
    assert "95 % interval" in table.note
    numbers = mean_numbers(runs)
    by_name = {row[0]: dict(zip(numbers.header, row, strict=True)) for row in numbers.rows}
    assert float(by_name["better"]["paired_difference_low"]) == pytest.approx(0.0089, abs=1e-4)
    assert by_name["once"]["paired_difference_low"] == by_name["fedavg"]["paired_difference"] == ""
