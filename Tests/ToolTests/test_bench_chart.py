"""The chart of `make bench`: that it shows what was measured, and that the committed one does."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

import bench
import bench_chart
from bench_figures import Row
from toolchain import Failure

SVG = "{http://www.w3.org/2000/svg}"


def shown(text):
    """The bars of a chart: what each is called, its counts, and its length beside the whole."""
    picture = ElementTree.fromstring(text)
    bars, track = {}, None
    for element in picture.iter(f"{SVG}rect"):
        if element.get("class") == "track":
            track = float(element.get("width"))
        elif element.get("class") in ("bar", "over"):
            label, quarry, linux = re.fullmatch(r"(.+): ([\d,]+) of ([\d,]+)", element.find(f"{SVG}title").text).groups()
            counts = tuple(int(number.replace(",", "")) for number in (quarry, linux))
            bars[label] = (*counts, float(element.get("width")) / track, element.get("class"))
    return bars


def test_the_committed_chart_is_the_one_drawn_from_the_committed_rows():
    committed = bench_chart.COMMITTED.read_text()
    assert committed == bench_chart.draw(*bench_chart.committed_rows()), "draw it again: Tools/bench_chart.py"


def test_each_bar_is_the_sum_of_its_pair():
    ours, theirs = bench_chart.committed_rows()
    bars = shown(bench_chart.COMMITTED.read_text())
    pairs = [pair for _, group in bench_chart.GROUPS for pair in group]
    assert 12 <= len(pairs) <= 16 and set(bars) == {label for label, _, _ in pairs}
    for label, taken, given in pairs:
        quarry, linux, share, kind = bars[label]
        assert quarry == pytest.approx(ours[taken] + ours[given], abs=0.5)
        assert linux == pytest.approx(theirs[taken] + theirs[given], abs=0.5)
        assert share == pytest.approx((ours[taken] + ours[given]) / (theirs[taken] + theirs[given]), abs=0.003)
        assert kind == "bar"


def test_what_takes_more_than_linux_is_shown_so():
    ours, theirs = bench_chart.committed_rows()
    ours["vmap 16 pages"] = 9000
    bars = shown(bench_chart.draw(ours, theirs))
    quarry, linux, share, kind = bars["vmap of 16 frames"]
    assert kind == "over" and share == pytest.approx(quarry / linux, abs=0.003) and share > 1
    assert bench_chart.overall(ours, theirs)[2] == 1


@pytest.mark.parametrize("whose", [0, 1])
def test_a_row_that_is_missing_is_named(whose):
    rows = bench_chart.committed_rows()
    del rows[whose]["vmalloc 4K vfree"]
    with pytest.raises(Failure, match="'vmalloc 4K vfree' is not among"):
        bench_chart.draw(*rows)


def test_nothing_comes_from_elsewhere():
    text = bench_chart.COMMITTED.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|src=|@import|url\(", text) and "prefers-color-scheme:dark" in text


def test_what_is_measured_is_drawn(tmp_path, monkeypatch, capsys):
    ours, _ = bench_chart.committed_rows()
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    rows = [Row(name, "median", count) for name, count in ours.items()]
    bench.draw(rows, tmp_path / "a" / "bench.svg")
    assert (tmp_path / "a" / "bench.svg").read_text() == bench_chart.COMMITTED.read_text()
    assert "drew a/bench.svg" in capsys.readouterr().out


def test_a_wrong_word_is_refused():
    with pytest.raises(Failure, match="usage"):
        bench_chart.main(["--what"])
