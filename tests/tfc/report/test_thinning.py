"""Reports of tens of thousands of rounds and clients end, and say what they leave out."""

import json

from finished_runs import finished

from tfc.report.page import write_report
from tfc.report.thinning import kept, remark, thinned
from tfc.simulation.folder import read_run
from tfc.simulation.folder_writer import RunFolder


def test_what_is_kept_is_spread_evenly_with_both_ends():
    assert kept(3, 10) == [0, 1, 2]
    assert kept(101, 11) == list(range(0, 101, 10))
    assert thinned(range(10**6), 2) == [0, 10**6 - 1]
    assert remark(10, "rounds", 10) == ""
    assert remark(12_345, "rounds") == " 1,000 of 12,345 rounds are shown, evenly spread."


def test_a_long_run_of_many_clients_has_a_report(tmp_path):
    run = finished(tmp_path, "short", [0.5, 0.6], 1000)
    rounds = 20_000
    lines = (run.path / "metrics.csv").read_text().splitlines(keepends=True)
    _, _, rest = lines[1].partition(",")
    (run.path / "metrics.csv").write_text(lines[0] + "".join(f"{number},{rest}" for number in range(1, rounds + 1)))
    (run.path / "config.toml").write_text(
        (run.path / "config.toml").read_text().replace("rounds = 2\n", f"rounds = {rounds}\n")
    )
    RunFolder(tmp_path / "other").write_class_counts([[client % 7, 3] for client in range(20_000)])
    (tmp_path / "other" / "clients.csv").rename(run.path / "clients.csv")
    summary = json.loads((run.path / "summary.json").read_text())
    sent = 500 * rounds
    summary |= {"rounds": rounds, "final_accuracy": 0.5, "last3_accuracy": 0.5, "uplink_bytes": sent}
    summary |= {"downlink_bytes": sent, "communication_ratio": round(1_000_000 / (2 * sent), 4)}
    (run.path / "summary.json").write_text(json.dumps(summary))
    write_report([read_run(run.path)], None, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert len(html) < 5_000_000
    assert "1,000 of 20,000 rounds are shown" in html and "340 of 20,000 clients are shown" in html
    assert "round 20000;" in html and "rounds of a row are shown" in html


def test_a_run_that_diverged_has_a_report(tmp_path):
    run = finished(tmp_path, "diverged", [0.5, 0.1, 0.1], 1000)
    lines = (run.path / "metrics.csv").read_text().splitlines(keepends=True)
    lines[1:] = [
        line.replace(",1.0,0,0.0,", f",{loss},0,{loss},", 1)
        for line, loss in zip(lines[1:], ["1.5", "inf", "nan"], strict=True)
    ]
    (run.path / "metrics.csv").write_text("".join(lines))
    found = read_run(run.path)
    assert [row.quality_score for row in found.rounds][:2] == [1.5, float("inf")]
    write_report([found], None, tmp_path / "report.html")
