"""The report of runs: what it says, that it needs nothing else, and how a browser shows it."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from finished_runs import finished
from report_pages import assert_as_wide_as_the_window, assert_well_formed, in_browser

from tfc.base.errors import RunError
from tfc.report.curves import accuracy_per_hour, accuracy_per_megabyte, accuracy_per_round, report_figures
from tfc.report.page import rounds_table, summary_lines, write_report
from tfc.report.partition import heat_map, partition_figures
from tfc.report.seed_groups import seed_groups
from tfc.report.settings import data_sets, differing_settings, environments


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """FedAvg, one that is thriftier, one with a hostile name that never gets there."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        finished(folder, "fedavg-seed0", [0.1, 0.79, 0.81, 0.81, 0.81], 200_000, 0, hours=2.0, method="fedavg"),
        finished(folder, "fedavg-seed1", [0.1, 0.79, 0.79, 0.79, 0.79], 200_000, 1, hours=2.0, method="fedavg"),
        finished(folder, "thrifty-seed0", [0.1, 0.60, 0.70, 0.84, 0.80], 20_000, 0, hours=0.5),
        finished(folder, "thrifty-seed1", [0.1, 0.60, 0.70, 0.76, 0.78], 20_000, 1, hours=0.5),
        finished(folder, "<b>weak-seed0", [0.1, 0.40, 0.50, 0.60, 0.61], 30_000, 0, **{"training.batch_size": 8}),
    ]


@pytest.fixture(scope="module")
def text(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report.html"
    counts = ((30, 0), (10, 20))
    write_report([replace(run, class_counts=counts) for run in runs], None, out)
    return out.read_text(encoding="utf-8")


def titles(svg):
    return [each.text for each in ElementTree.fromstring(svg).iter("title")]


def test_the_report_needs_nothing_else_and_escapes_names(text):
    parsed = assert_well_formed(text)
    assert len(parsed.figures) == 6  # no run has clusters or scores
    assert "<b>" not in text and "<b>weak-seed0" in parsed.cells
    for svg in re.findall(r"<svg viewBox.*?</svg>(?=</div>)", text, re.S):
        ElementTree.fromstring(svg)


def test_it_says_first_who_needs_the_fewest_bytes(runs):
    (line,) = summary_lines(seed_groups(runs))
    # FedAvg: .80 in the last three rounds, so .79, reached in round 2; thrifty's mean reaches it in round 4.
    assert "thrifty needs the fewest bytes to FedAvg's accuracy minus one point (0.7900): 0.08 MB" in line
    assert "FedAvg needs 0.40 MB, 5.0 times as many" in line
    assert line.endswith("last 3 rounds have accuracy 0.7633, 3.67 points below FedAvg's.")
    assert summary_lines(seed_groups(runs[2:])) == []
    (line,) = summary_lines(seed_groups([*runs[:2], runs[4]]))
    assert line.startswith("No other row reaches FedAvg's accuracy minus one point (0.7900)")


def test_it_says_first_that_the_accuracy_was_lost_again(tmp_path):
    fedavg = finished(tmp_path, "fedavg", [0.1, 0.8, 0.8, 0.8], 200_000, method="fedavg")
    unsteady = finished(tmp_path, "unsteady", [0.1, 0.8, 0.6, 0.6], 20_000)
    (line,) = summary_lines(seed_groups([fedavg, unsteady]))
    assert "unsteady needs the fewest bytes" in line
    assert line.endswith("below FedAvg's. It did not stay there: its curve ends below that accuracy.")


def test_points_tell_run_round_accuracy_seeds_bytes_and_hours(runs):
    told = titles(accuracy_per_megabyte(seed_groups(runs)).svg)
    expected = (
        "thrifty (2 seeds); round 4; accuracy 0.8000 (seeds 0.7600 to 0.8400); 0.080 MB so far; 2.000 simulated h"
    )
    assert expected in told
    assert "<b>weak-seed0; round 5; accuracy 0.6100; 0.150 MB so far" in told
    assert titles(accuracy_per_round(seed_groups(runs)).svg).count(expected) == 1


def test_an_axis_that_does_not_start_at_the_lowest_value_is_told(runs):
    cut, whole = accuracy_per_round(seed_groups(runs[:2])), accuracy_per_round(seed_groups([runs[4]]))
    assert "The axis starts at 0.77: earlier rounds may lie below it." in cut.caption
    assert [title.split("; ")[1] for title in titles(cut.svg)] == ["round 2", "round 3", "round 4", "round 5"]
    assert "axis starts" in whole.caption  # 0.1 at first, 0.5 to 0.61 in the second half
    level = replace(runs[0], rounds=runs[0].rounds[2:])
    assert "axis" not in accuracy_per_round(seed_groups([level])).caption


def test_what_was_not_counted_is_named(runs):
    figure = accuracy_per_hour(seed_groups(runs))
    assert "Simulated, not measured" in figure.caption
    assert "Without simulated time, since an older version made them: <b>weak-seed0" in figure.caption
    assert all("weak" not in title for title in titles(figure.svg))
    none = accuracy_per_hour(seed_groups(runs[4:]))
    assert none.svg == "" and "did not count simulated time" in none.caption
    missing = {figure.heading: figure.caption for figure in report_figures(seed_groups(runs)) if not figure.svg}
    assert missing.keys() == {"Number of clusters", "Representation quality"}
    assert partition_figures(runs)[0].caption == "Not recorded by the version that made these runs."


def test_a_round_without_answers_has_no_place_on_a_logarithmic_axis(runs):
    rows = list(runs[2].rounds)
    rows[1] = replace(rows[1], uplink_bytes=0)
    figures = {figure.heading: figure for figure in report_figures(seed_groups([replace(runs[2], rounds=tuple(rows))]))}
    told = titles(figures["Uplink per round"].svg)
    assert [title.split("; ")[1] for title in told] == ["round 1", "round 3", "round 4", "round 5"]
    assert told[0].endswith("10 kB up") and len(titles(figures["Downlink per round"].svg)) == 5


def test_the_table_of_all_rounds_has_what_the_figures_show(runs):
    table = rounds_table(seed_groups(runs))
    assert len(table.rows) == 15 and len({len(row) for row in (table.header, *table.rows)}) == 1
    row = next(row for row in table.rows if row[:2] == ("thrifty (2 seeds)", "4"))
    assert row[2:9] == ("0.8000", "0.7600", "0.8400", "10.000", "10.000", "0.080", "2.000")
    assert {row[8] for row in table.rows if "weak" in row[0]} == {"not counted"}


def test_settings_that_differ_come_first_and_alone(runs):
    table = differing_settings(seed_groups(runs))
    assert table.header == ("setting", "fedavg", "thrifty", "<b>weak")
    assert [row[0] for row in table.rows] == ["method", "training.batch_size", "seeds"]
    assert table.rows[0][1:] == ("fedavg", "fedcompress", "fedcompress") and table.rows[1][3] == "8"
    assert table.rows[-1] == ("seeds", "0, 1", "0, 1", "0")


def test_a_file_of_another_version_says_what_it_names(tmp_path):
    old = finished(tmp_path, "old", [0.5], 1000)
    (tmp_path / "old" / "config.toml").write_text('method = "fedcompress"\n[gone]\nkey = 7\n')
    rows = {
        row[0]: row[1:] for row in differing_settings(seed_groups([old, finished(tmp_path, "new", [0.5], 1000)])).rows
    }
    assert rows["gone.key"] == ("7", "not named") and rows["rounds"][0] == "not named"


def test_machines_and_versions_are_told_once_per_environment(runs):
    def made(run, **summary):
        return replace(run, summary={**run.summary, **summary})

    versions = {"python": "3.11.7", "numpy": "1.25.2"}
    here = {"machine": {"processor": "A", "python": "3.11.7"}, "versions": versions, "dataset": "d", "synthetic": True}
    told = environments([made(runs[0], **here), made(runs[1], **here), made(runs[2], versions=versions)])
    assert [names for names, _ in told] == ["fedavg-seed0, fedavg-seed1", "thrifty-seed0"]
    assert told[0][1] == [("processor", "A"), ("python", "3.11.7"), ("numpy", "1.25.2")]
    assert told[1][1][0] == ("machine", "not recorded by the version that made it")
    assert data_sets([made(runs[0], **here), made(runs[1], **{**here, "synthetic": False}), runs[2]]) == [
        "d (synthetic)", "d (not synthetic)", "not recorded (not recorded whether synthetic)",
    ]  # fmt: skip


def test_synthetic_data_are_warned_of(runs, tmp_path, text):
    write_report([replace(runs[2], summary={**runs[2].summary, "synthetic": True})], None, tmp_path / "r.html")
    assert '<p class="warn">Synthetic data: thrifty-seed0.' in (tmp_path / "r.html").read_text()
    assert "Synthetic data" not in text
    write_report([replace(run, summary={**run.summary, "synthetic": True}) for run in runs], None, tmp_path / "r.html")
    assert '<p class="warn">Synthetic data: all runs.' in (tmp_path / "r.html").read_text()


def test_darker_means_more_and_runs_with_one_partition_share_a_figure(runs):
    root = ElementTree.fromstring(heat_map("t", [[0, 5, 10], [10, 0, 5]]))
    cells = [(cell.find("title").text, cell.get("fill")) for cell in root.iter("rect") if cell.get("class") == "point"]
    assert [text for text, _ in cells] == [
        f"client {client}; class {label}; {count} examples"
        for client, row in enumerate([[0, 5, 10], [10, 0, 5]])
        for label, count in enumerate(row)
    ]
    red = [int(fill[1:3], 16) for _, fill in cells]
    assert red[0] > red[1] > red[2] and (red[0], red[1], red[2]) == (red[4], red[5], red[3])
    assert "<title>" not in heat_map("t", [[1] * 100] * 100)
    ones, twos = replace(runs[0], class_counts=((1,),)), replace(runs[1], class_counts=((1,),))
    other = replace(runs[2], class_counts=((2,),))
    figures = partition_figures([ones, twos, other, runs[4]])
    assert [figure.caption.rpartition(". ")[2] for figure in figures] == [
        "Runs: fedavg-seed0, fedavg-seed1.",
        "Runs: thrifty-seed0.",
        "Not recorded by the version that made <b>weak-seed0.",
    ]


def test_a_report_that_cannot_be_written_is_one_error(runs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"r\.html: cannot be written: File exists"):
        write_report(runs, None, tmp_path / "file" / "r.html")


@pytest.mark.system
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_the_page_without_cutting_it(text, tmp_path, width):
    """On a laptop and on a phone, the table of all rounds unfolded."""
    assert_as_wide_as_the_window(text.replace("<details>", "<details open>"), tmp_path, width)


SORTED = """(() => {
  const table = document.querySelector("table"), told = [];
  const sort = column => [...table.tHead.rows[0].cells].find(cell => cell.textContent === column)
    .querySelector("button").click();
  const names = () => [...table.tBodies[0].rows].map(row => row.cells[0].textContent);
  for (const column of ["last 3 rounds", "last 3 rounds", "MB to 0.7900", "MB up"]) {
    sort(column);
    told.push(names());
  }
  return told;
})()"""


@pytest.mark.system
def test_a_click_on_a_header_sorts_the_means(text, tmp_path):
    told = in_browser(text, tmp_path, SORTED)
    weak, thrifty, fedavg = "<b>weak", "thrifty", "fedavg"
    assert told == [
        [weak, thrifty, fedavg],  # 0.57, 0.7633 ± 0.0047, 0.8000 ± 0.0141
        [fedavg, thrifty, weak],
        [thrifty, fedavg, weak],  # "not reached" is last
        [thrifty, weak, fedavg],
    ]


@pytest.mark.system
def test_pointing_at_a_figure_tells_the_point(text, tmp_path):
    told = in_browser(
        text,
        tmp_path,
        """(() => {
          const point = [...document.querySelectorAll("svg .point")]
            .find(each => each.getAttribute("aria-label").startsWith("thrifty (2 seeds); round 4"));
          const box = point.getBoundingClientRect();
          const where = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true };
          point.dispatchEvent(new PointerEvent("pointermove", where));
          return document.querySelector(".tip").innerText.split("\\n");
        })()""",
    )
    assert told[:2] == ["thrifty (2 seeds)", "round 4"] and told[3] == "0.080 MB so far"
