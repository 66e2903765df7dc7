"""Pages: what their style promises of contrast, and what their script does in a browser."""

import re

import pytest
from report_pages import assert_well_formed, in_browser

from tfc.base.charts.line import Axis, Curve, line_chart
from tfc.base.charts.page import figure, page, pairs, table

ROWS = [
    ("run10", "3.52 ± 0.1", "1,200", "-", "b"),
    ("run9", "12.1 ± 0.2", "900", "0.25 ms", "a"),
    ("run1", "not reached", "36.30x", "0.5 ms", "c"),
    ("run2", "-", "4.5x (4.1-5.0)", "0.1 ms", "10"),
]


@pytest.fixture(scope="module")
def text():
    curves = [
        Curve(name, [1, 2, 3], ys, [f"{name}; round {n}; accuracy {y}" for n, y in enumerate(ys, 1)], group)
        for group, (name, ys) in enumerate({"first": [0.1, 0.2, 0.3], "second": [0.2, 0.4, 0.6]}.items())
    ]
    drawing = line_chart("Two curves", Axis("round", integer=True), Axis("accuracy"), curves)
    body = table(("run", "mean", "size", "time", "<kind>"), ROWS, "A table")
    return page('A "page" & more', body + figure(drawing, "What it shows.") + pairs([("cores", 2), ("a<b", "c")]))


def test_a_page_needs_nothing_else_and_escapes_what_it_is_given(text):
    parsed = assert_well_formed(text)
    assert parsed.title == 'A "page" & more' and "<kind>" in parsed.cells and "a<b" in "".join(parsed.words)
    assert len(parsed.cells) == 5 * 5


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    shares = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_texts_can_be_read_by_day_and_by_night(text):
    light, dark = (dict(re.findall(r"--(\w+): (#\w+)", part)) for part in re.findall(r":root \{(.*?)\}", text, re.S))
    assert light.keys() == dark.keys() and luminance(dark["back"]) < 0.05 < luminance(light["back"])
    for colours in (light, dark):
        for front in ("text", "soft"):
            for back in ("back", "panel"):
                assert contrast(colours[front], colours[back]) >= 4.5, (front, back)
        assert contrast(colours["warn"], colours["back"]) >= 3 and contrast(colours["focus"], colours["back"]) >= 3


SORTED = """(() => {
  const headers = document.querySelectorAll("th[scope=col]"), told = [];
  for (const [column, clicks] of %s) {
    for (let click = 0; click < clicks; click++) headers[column].querySelector("button").click();
    told.push([...document.querySelectorAll("tbody th")].map(cell => cell.textContent).join(" "));
    told.push([...headers].map(header => header.getAttribute("aria-sort")));
  }
  return told;
})()"""


@pytest.mark.system
def test_headers_sort_numbers_as_numbers_and_say_so(text, tmp_path):
    told = in_browser(text, tmp_path, SORTED % "[[0, 1], [1, 1], [1, 1], [2, 1], [3, 2], [4, 1]]")
    assert told[::2] == [
        "run1 run2 run9 run10",  # names by the numbers in them
        "run10 run9 run1 run2",  # what is missing is last,
        "run9 run10 run1 run2",  # also from the largest down
        "run2 run1 run9 run10",
        "run1 run9 run2 run10",
        "run2 run9 run10 run1",  # texts: not all are numbers
    ]
    assert told[1] == ["ascending", None, None, None, None] and told[5] == [None, "descending", None, None, None]


KEYS = """(() => {
  const figure = document.querySelector("main figure svg"), tip = document.querySelector(".tip"), told = [];
  const stops = figure.querySelectorAll("[tabindex='0']");
  told.push(stops.length, tip.hidden);
  stops[0].focus();
  stops[0].dispatchEvent(new FocusEvent("focus"));  // a window that nobody sees has no focus to give
  told.push(tip.textContent);
  for (const key of %s) {
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    told.push(tip.hidden ? null : tip.textContent);
  }
  const last = [...figure.querySelectorAll(".point")].pop(), box = last.getBoundingClientRect();
  figure.dispatchEvent(new PointerEvent("pointermove", { clientX: box.right + 9, clientY: box.top, bubbles: true }));
  const faded = () => [...figure.querySelectorAll(".faded")].map(part => part.dataset.curve).join("");
  told.push(tip.textContent, faded());
  figure.dispatchEvent(new PointerEvent("pointerleave"));
  return told.concat([tip.hidden, faded(), last.getAttribute("aria-label"), figure.querySelectorAll("title").length]);
})()"""


@pytest.mark.system
def test_points_tell_their_values_to_pointer_and_keyboard(text, tmp_path):
    assert text.count("<title>first; round 2; accuracy 0.2</title>") == 1  # without JavaScript: the browser's own tip
    told = in_browser(text, tmp_path, KEYS % '["ArrowRight", "ArrowDown", "End", "ArrowRight", "Escape"]')
    last = "second\nround 3\naccuracy 0.6"
    assert told[:3] == [1, True, "first\nround 1\naccuracy 0.1"]  # one stop of the Tab key per figure
    assert told[3:8] == ["first\nround 2\naccuracy 0.2", "second\nround 2\naccuracy 0.4", last, last, None]
    # Legend, line and marks of the first curve fade while the second one tells.
    assert told[8:] == [last, "000", True, "", last.replace("\n", "; "), 0]
