"""Texts from files reach terminals, tables, CSV and HTML without what would control them."""

import csv
import io

import pytest

from tfc.base.charts.page import page
from tfc.base.clean_text import LONGEST, clean, clean_cell, clean_lines, clean_markdown
from tfc.base.command_line import exit_code
from tfc.base.errors import FedCompressError
from tfc.base.table import Table, aligned

HOSTILE = "\x1b]0;title\x07\x1b[2J\n| next | row |\u202egpj.exe\0\x9b31m\u2028"


def test_only_what_controls_is_escaped():
    assert clean("fedavg-seed0, ResNet 20 ± 0.5 °C, größer, 模型") == "fedavg-seed0, ResNet 20 ± 0.5 °C, größer, 模型"
    assert clean("a\x1b[31mb\n\t\u202e\udc80") == r"a\x1b[31mb\n\t\u202e\udc80"
    assert clean("x" * 10_000) == "x" * (LONGEST - 1) + "…"
    assert clean_lines("a\tb\nc\x07") == "a\\tb\nc\\x07"
    assert clean_markdown("a|b\n") == r"a\|b\n"


@pytest.mark.parametrize("formula", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", " =1+1", "=cmd|' /C calc'!A0", "\t=1"])
def test_a_spreadsheet_sees_no_formula(formula):
    assert clean_cell(formula)[0] in "'\\"
    (row,) = csv.reader(io.StringIO(Table("", (formula,), ()).to_csv()))
    assert row[0][0] in "'\\"


@pytest.mark.parametrize("plain", ["-", "-0.5", "+3", "1,234", "1e-9", "0.9123 ± 0.0001", "25.79x", "fedavg"])
def test_numbers_and_names_stay_as_they_are(plain):
    assert clean_cell(plain) == plain


def test_every_form_of_a_table_is_clean():
    table = Table("t", ("name", HOSTILE), ((HOSTILE, "1"), ("=1+1", "-0.5")))
    for shown in (table.to_markdown(), table.to_csv(), table.to_latex(), aligned(table.header, table.rows)):
        assert not set(shown) & set("\x1b\x07\0\x9b\u202e\u2028"), shown
    assert len(table.to_markdown().splitlines()) == 4 and len(table.to_csv().splitlines()) == 3


def test_a_page_and_an_error_are_clean(capsys):
    shown = page(HOSTILE, f"<p>{HOSTILE}</p>\n<p>second line</p>")
    assert not set(shown) & set("\x1b\x07\0\x9b\u202e\u2028") and "<p>second line</p>" in shown

    def refuse():
        raise FedCompressError(f"{HOSTILE}: damaged")

    assert exit_code(refuse, FedCompressError, "") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and not set(said) & set("\x1b\x07\0\x9b\u202e\u2028")
