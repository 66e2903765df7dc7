"""Figures: values lie where the axes say, colours can be told apart, names do not cover one another."""

import itertools
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from tfc.base.charts.axes import Scale, named
from tfc.base.charts.groups import COLOURS
from tfc.base.charts.labels import Box, along, placed
from tfc.base.charts.line import Axis, Curve, Layout, line_chart
from tfc.base.charts.svg import marker, standalone

# What is left of linear red, green, blue without the first or the second kind of cone: Machado, Oliveira, Fernandes
# 2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency", severity 1.
VISIONS = {
    "all cones": np.eye(3),
    "protanopia": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deuteranopia": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
}
TO_XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])


def linear(colour):
    shares = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    x, y, z = np.cbrt(np.clip(TO_XYZ @ rgb / [0.9505, 1, 1.0891], 0.008856, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_differ_for_every_vision_and_stand_out_on_white(vision):
    for colour in COLOURS:
        assert 1.05 / (TO_XYZ[1] @ linear(colour) + 0.05) >= 4.5
    seen = [lab(np.clip(VISIONS[vision] @ linear(colour), 0, 1)) for colour in COLOURS]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) >= 12


def test_no_two_of_the_first_groups_look_the_same():
    assert len({marker(0, 0, group) for group in range(49)}) == 49


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("low,high", [(0.61, 0.87), (1, 12), (0.3, 99.0), (2e-4, 4000), (16, 16.5), (0.7, 1.1)])
def test_ticks_are_few_round_and_within(log, low, high):
    scale = Scale(low, high, 0, 100, log)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 10 and ticks == sorted(ticks) and all(scale.holds(tick) for tick in ticks)
    assert [float(name.replace(",", "")) for name in named(ticks)] == pytest.approx(ticks)
    assert scale.at(low) == 0 and scale.at(high) == pytest.approx(100)


def test_whole_numbers_only_where_asked():
    assert Scale(0.8, 3.2, 0, 1, integer=True).ticks() == [1, 2, 3]
    assert Scale(15.2, 16.8, 0, 1, integer=True).ticks() == [16]


def chart(curves, **options):
    text = line_chart("t", Axis("x", log=True), Axis("y", **options), curves, layout=Layout(direct=True))
    return ElementTree.fromstring(text)


def test_points_lie_where_their_values_are_and_what_a_limit_cuts_off_is_not_drawn():
    root = chart([Curve("a", [1, 10, 100], [0.1, 0.5, 0.9], ["p", "q", "r"], 0)])
    p, q, r = ((float(each.get("cx")), float(each.get("cy"))) for each in root.findall(".//circle[@class='point']"))
    assert q[0] - p[0] == pytest.approx(r[0] - q[0], abs=0.2) and p[1] - q[1] == pytest.approx(q[1] - r[1], abs=0.2)
    assert p[0] < q[0] and p[1] > q[1]
    cut = chart([Curve("a", [1, 10, 100], [0.1, 0.5, 0.9], ["p", "q", "r"], 0)], low=0.4)
    assert [each.text for each in cut.findall(".//circle[@class='point']/title")] == ["q", "r"]


def test_what_is_shown_fills_the_figure_however_far_off_the_rest_is():
    heights = []
    for first in (0.45, -100.0):
        root = chart([Curve("a", [1, 10, 100], [first, 0.5, 0.9], ["p", "q", "r"], 0)], low=0.45)
        heights.append(float(root.findall(".//circle[@class='point']")[-1].get("cy")))
    assert heights[0] == heights[1]


def test_of_many_points_some_are_marked_and_the_last_always():
    values = list(range(1, 501))
    root = chart([Curve("a", values, values, [str(value) for value in values], 0)])
    marked = [int(each.text) for each in root.findall(".//title")]
    assert len(marked) <= 60 and marked[-1] == 500 and len(set(np.diff(marked))) == 1


def test_names_keep_off_lines_and_one_another():
    line = along([(0, 100), (200, 100)])
    assert max(b[0] - a[0] for a, b in itertools.pairwise(line)) <= 4
    bounds = Box(0, 0, 260, 200)
    boxes = placed([(200, 100), (196, 104), (204, 96)], [60, 60, 60], line, bounds)
    assert not any(a.meets(b) for a, b in itertools.combinations(boxes, 2))
    assert not any(box.covers(spot) for box in boxes for spot in line)
    assert all(bounds.left <= box.left and box.right <= bounds.right for box in boxes)


def test_a_file_of_its_own_has_a_title_and_a_white_ground():
    text = standalone(line_chart("a & b", Axis("x"), Axis("y"), [Curve("c", [1, 2], [1, 2], ["", ""], 0)]))
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    title, ground, *_ = root
    assert title.text == "a & b" and ground.get("fill") == "#fff" and ground.get("width") == "100%"
