"""Runs over seeds: means, the bytes to an accuracy, the Pareto front, and the tables made of them."""

import csv
import io
import itertools
import statistics

import pytest
from finished_runs import finished

from tfc.base.errors import ConfigError
from tfc.base.table import Table
from tfc.cli import main
from tfc.report.figures import accuracy_per_hour, accuracy_per_megabyte
from tfc.report.seed_groups import pareto_front, ranked, seed_groups, target_accuracy, times_sooner
from tfc.report.tables import mean_numbers, mean_table
from tfc.simulation.folder import read_run, read_runs
from tfc.simulation.sweep_file import is_sweep_file, plan_file

SWEEP = """
preset = "demo"
seeds = [0, 1]
[set]
rounds = 3
[arms.fedavg]
method = "fedavg"
[arms.loud]
communication.rate_weight = 0.5
server.compression = true
[vary]
"training.batch_size" = [8, 16]
"""


@pytest.fixture
def runs(tmp_path):
    """FedAvg at .80 (two seeds); one that reaches .79 only in the mean of its seeds; one that never does."""
    return [
        finished(tmp_path, "fedavg-seed0", [0.5, 0.81, 0.81, 0.81], 200_000, 0, method="fedavg"),
        finished(tmp_path, "fedavg-seed1", [0.5, 0.79, 0.79, 0.79], 200_000, 1, method="fedavg"),
        finished(tmp_path, "thrifty-seed0", [0.4, 0.70, 0.84, 0.80], 20_000, 0),
        finished(tmp_path, "thrifty-seed1", [0.4, 0.70, 0.76, 0.78], 20_000, 1),
        finished(tmp_path, "weak-seed0", [0.3, 0.40, 0.50, 0.60], 30_000, 0, **{"training.batch_size": 8}),
    ]


def test_seeds_make_one_group_and_the_target_is_fedavgs(runs):
    groups = seed_groups(runs)
    assert [(group.name, len(group.runs)) for group in groups] == [("fedavg", 2), ("thrifty", 2), ("weak", 1)]
    assert target_accuracy(groups) == pytest.approx(0.79)
    assert target_accuracy(groups[1:]) is None
    fedavg, thrifty, weak = groups
    assert thrifty.accuracies == pytest.approx([0.4, 0.7, 0.8, 0.79])
    assert thrifty.bytes_so_far == pytest.approx([20_000, 40_000, 60_000, 80_000])
    assert thrifty.bytes_to(0.79) == pytest.approx(60_000) and weak.bytes_to(0.79) is None
    assert fedavg.bytes_to(0.79) == pytest.approx(400_000)
    assert fedavg.reached_deviation == pytest.approx(statistics.stdev([0.81, 0.79]))
    assert weak.reached_deviation is None
    assert [group.name for group in ranked(groups, 0.79)] == ["thrifty", "fedavg", "weak"]
    assert [group.name for group in pareto_front(groups)] == ["thrifty", "fedavg"]


def test_simulated_time_is_compared_at_fedavgs_accuracy(tmp_path):
    timed = [
        finished(tmp_path, "fedavg", [0.5, 0.81, 0.81, 0.81], 200_000, hours=2.0, method="fedavg"),
        finished(tmp_path, "robust", [0.5, 0.6, 0.7, 0.8], 200_000, hours=2.0, method="fedavg", aggregation="robust"),
        finished(tmp_path, "quick", [0.4, 0.70, 0.80, 0.80], 20_000, hours=0.5),
        finished(tmp_path, "weak", [0.3, 0.40, 0.50, 0.60], 30_000, hours=0.1, **{"training.batch_size": 8}),
        finished(tmp_path, "old", [0.3, 0.90, 0.90, 0.90], 30_000, **{"training.batch_size": 9}),
    ]
    groups = seed_groups(timed)
    fedavg, robust, quick, weak, old = groups
    assert quick.hours_so_far == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert (quick.hours_to(0.8), weak.hours_to(0.8)) == (pytest.approx(1.5), None)
    assert [times_sooner(group, groups) for group in (fedavg, robust, quick, weak, old)] == [
        1.0, pytest.approx(0.5), pytest.approx(4 / 1.5), None, None,
    ]  # fmt: skip
    assert times_sooner(quick, groups[1:]) is None
    cells = {row[0]: row[-2:] for row in mean_table(timed).rows}
    assert cells["quick"] == ("1.500", "2.67x") and cells["weak"] == ("not reached", "-")
    lines = {line.get_label(): line for line in accuracy_per_hour(timed).axes[0].get_lines()}
    assert list(lines["quick"].get_xdata()) == pytest.approx([0.5, 1.0, 1.5, 2.0]) and "old" not in lines
    assert accuracy_per_hour(timed[4:]).axes[0].get_lines() == []


def test_older_metrics_without_newer_columns_are_read(runs):
    path = runs[0].path / "metrics.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text("\n".join(",".join(row[:12]) for row in rows) + "\n")
    assert rows[0][11] == "seconds" and read_run(runs[0].path).rounds == runs[0].rounds


def test_older_files_without_newer_keys_are_the_same_seed_group(runs):
    path = runs[1].path / "config.toml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("sparsity")))
    assert len(seed_groups(runs)[0].runs) == 2
    path.write_text(path.read_text() + "\n[unknown]\nkey = 1\n")
    assert len(seed_groups(runs)[0].runs) == 1


def test_the_table_ranks_and_says_what_is_not_reached(runs):
    table = mean_table(runs)
    assert table.header[-3:] == ("MB to 0.7900", "h to 0.7900", "sooner")
    assert {row[-2:] for row in table.rows} == {("not counted", "-")}
    assert [(row[0], row[-3]) for row in table.rows] == [
        ("thrifty", "0.0600"),
        ("fedavg", "0.400"),
        ("weak", "not reached"),
    ]
    assert table.rows[1][2] == "0.8000 ± 0.0141"
    assert len(mean_table(runs[2:]).header) == 6


def test_compare_writes_csv_and_latex(runs, tmp_path, capsys):
    words = ["compare", *(str(run.path) for run in runs), "--csv", str(tmp_path / "t.csv")]
    assert main([*words, "--latex", str(tmp_path / "t.tex")]) == 0
    assert "until the mean accuracy of a round first reaches" in capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    assert [row["runs"] for row in rows] == ["thrifty", "fedavg", "weak"]
    lines = (tmp_path / "t.tex").read_text().splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrrrrrr}" and lines[5].startswith(r"  fedavg & 2 & 0.8000 $\pm$ 0.0141 & ")
    assert all(line.endswith(r"\\") for line in lines if "&" in line)


def test_accuracies_that_swing_are_averaged_over_rounds(tmp_path, capsys):
    swing = [0.2, 0.8, 0.4, 0.8, 0.4, 0.8]
    finished(tmp_path, "fedavg", swing, 200_000, method="fedavg")
    finished(tmp_path, "thrifty", [0.2, 0.2, 0.7, 0.3, 0.8, 0.5], 20_000)
    folders = [tmp_path / "fedavg", tmp_path / "thrifty"]
    groups = seed_groups(read_runs(folders, smooth=4))
    averaged = [sum(swing[max(0, end - 4) : end]) / min(end, 4) for end in range(1, 7)]
    assert groups[0].accuracies == pytest.approx(averaged)
    assert groups[0].accuracy_range == [(pytest.approx(value),) * 2 for value in averaged]
    assert [group.reached for group in groups] == pytest.approx([0.6, 0.575])
    assert target_accuracy(groups) == pytest.approx(0.59)
    assert groups[0].bytes_to(0.59) == pytest.approx(1_000_000), "not the 400,000 of one lucky round"
    assert groups[1].bytes_to(0.59) is None and seed_groups(read_runs(folders))[1].bytes_to(0.59) is not None

    words = ["compare", *map(str, folders), "--smooth"]
    assert main([*words, "4", "--csv", str(tmp_path / "t.csv"), "--html", str(tmp_path / "t.html")]) == 0
    shown = capsys.readouterr().out
    assert "| last 4 rounds |" in shown and "accuracy of a round, averaged over the 4 rounds up to it, first" in shown
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    assert [float(row["last4_accuracy"]) for row in rows] == pytest.approx([0.6, 0.575])
    page = (tmp_path / "t.html").read_text()
    assert "test accuracy, mean of 4 rounds" in page and "accuracy of the last 4 rounds" in page
    label = accuracy_per_megabyte(read_runs(folders, smooth=4)).axes[0].get_ylabel()
    assert label == "test accuracy, mean of 4 rounds"
    assert main([*words, "7"]) == 1
    assert "fedavg: it has 6 rounds, so accuracies can't be averaged over 7" in capsys.readouterr().err
    assert main([*words, "0"]) == 1
    assert "must be at least 1; found 0" in capsys.readouterr().err


def test_runs_of_equal_names_are_told_apart_by_their_folders(tmp_path, capsys):
    for sweep in ("old", "new"):
        for seed in (0, 1):
            finished(tmp_path / sweep, f"fedavg-seed{seed}", [0.5], 200 if sweep == "old" else 100, seed)
    folders = [str(path) for path in sorted(tmp_path.glob("*/fedavg-seed?"))]
    assert main(["compare", *folders]) == 0
    shown = capsys.readouterr().out
    assert all(f"| {sweep}/fedavg-seed{seed} " in shown for sweep in ("old", "new") for seed in (0, 1))
    assert all(f"| {sweep}/fedavg " in shown for sweep in ("old", "new")), "means of two seeds each"
    assert main(["compare", folders[0], folders[0] + "/../fedavg-seed0"]) == 1
    assert "fedavg-seed0: named twice" in capsys.readouterr().err


def test_texts_survive_every_form():
    table = Table("t", ("a_b", "c"), (("50 % & more", "x,y"), (r"\#{}~^$", "1")))
    assert list(csv.reader(io.StringIO(table.to_csv()))) == [list(table.header), *map(list, table.rows)]
    tex = table.to_latex()
    assert r"50 \% \& more & x,y \\" in tex and r"a\_b & c" in tex
    assert r"\textbackslash{}\#\{\}\textasciitilde{}\textasciicircum{}\$ & 1" in tex


def test_the_figure_draws_means_and_the_front(runs):
    figure = accuracy_per_megabyte(runs)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert list(lines["thrifty (2 seeds)"].get_ydata()) == pytest.approx([0.4, 0.7, 0.8, 0.79])
    assert list(lines["thrifty (2 seeds)"].get_xdata()) == pytest.approx([0.02, 0.04, 0.06, 0.08])
    assert len(lines["Pareto front (last 3 rounds)"].get_xdata()) == 2


def test_a_sweep_file_names_every_run(tmp_path, capsys):
    path = tmp_path / "s.toml"
    path.write_text(SWEEP)
    assert is_sweep_file(str(path)) and not is_sweep_file("demo")
    runs = plan_file(path, ["clients_per_round=2"])
    arms, sizes, seeds = ("fedavg", "loud"), (8, 16), (0, 1)
    expected = [f"{arm}-batch_size{size}-seed{seed}" for arm, size, seed in itertools.product(arms, sizes, seeds)]
    assert [run.name for run in runs] == expected
    loud = runs[-1].config
    assert (loud.communication.rate_weight, loud.training.batch_size, loud.seed, loud.rounds) == (0.5, 16, 1, 3)
    assert {run.config.clients_per_round for run in runs} == {2} and runs[0].config.method == "fedavg"
    assert main(["sweep", str(path), "--out", str(tmp_path / "out"), "--list"]) == 0
    assert capsys.readouterr().out.splitlines() == expected
    assert main(["sweep", str(path), "--out", str(tmp_path / "out"), "--seeds", "1"]) == 1
    assert "is a sweep: methods, seeds and what varies are named in it" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text,message",
    [
        ("arms", "not a readable TOML file"),
        ("x = 1\n[arms.a]", "unknown key x"),
        ("preset = 'demo'\narms = 3", "arms must be a table"),
        ("preset = 'demo'\n[arms]", "names no arm"),
        ("[arms.a]", "arms.a has no preset"),
        ("preset = 'demo'\nseeds = 3\n[arms.a]", "seeds must be a list of integers"),
        ("preset = 'demo'\n[arms.a]\nmethod = 'magic'", "arms.a: method must be one of"),
        ("preset = 'demo'\n[arms.a]\nrounds = [3]", "rounds must be a number"),
        ("preset = 'demo'\n[arms.a]\n[vary]\nrounds = 3", "vary.rounds must be a list"),
        ("preset = 'none'\n[arms.a]", "no preset and no file named 'none'"),
    ],
)
def test_bad_sweep_files_say_where(text, message, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"s\.toml: ") as error:
        plan_file(path)
    assert message in str(error.value)


def test_the_sweeps_of_the_results_are_sound():
    from pathlib import Path

    files = sorted((Path(__file__).parents[3] / "benchmarks" / "sweeps").glob("*.toml"))
    assert files
    for path in files:
        assert len({run.name for run in plan_file(path)}) == len(plan_file(path)) > 1


def test_rows_of_other_data_or_rounds_are_marked_and_not_ranked(tmp_path):
    fedavg = finished(tmp_path, "fedavg", [0.5, 0.8], 100, method="fedavg")
    other = finished(tmp_path, "other", [0.6, 0.9], 10, **{"data.alpha": 0.1})
    means = mean_table([fedavg, other])
    rows = {row[0]: row[6:] for row in means.rows}
    assert rows["other *"] == ("not comparable",) * 4 and rows["fedavg"][0] != "not comparable"
    assert "other: data.alpha = 0.1, there 0.5" in means.note
    numbers = mean_numbers([fedavg, other])
    by_name = {row[0]: dict(zip(numbers.header, row, strict=True)) for row in numbers.rows}
    assert by_name["other"]["bytes_to_target"] == "" and float(by_name["fedavg"]["bytes_to_target"]) > 0
    assert all(float(row["uplink_bytes"]) > 0 for row in by_name.values())
