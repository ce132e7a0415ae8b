import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Tools"))


@pytest.fixture(scope="session")
def model():
    """The machine whose reports lie here."""
    from memory_map.dump import parse, read_directory
    from memory_map.model import Model
    from test_map import DUMP

    return Model(parse(read_directory(DUMP)))


@pytest.fixture(scope="session")
def browser():
    from browser import chromium

    with chromium() as driver:
        yield driver


@pytest.fixture(scope="session")
def path(model, tmp_path_factory):
    """The page of that machine, with a trace."""
    from map_page import SHOTS, trace_of
    from memory_map.page import write_page
    from memory_map.trace import parse_trace

    path = tmp_path_factory.mktemp("page") / "memory-map.html"
    path.write_text(write_page(model, parse_trace(trace_of(model)[0])))
    SHOTS.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def page(browser, path):
    """The page as it is when it is opened; at the end nothing was complained of."""
    from browser import prefer

    prefer(browser, prefers_color_scheme="light", prefers_reduced_motion="no-preference")
    browser.get(path.as_uri())
    assert browser.execute_script("return document.documentElement.dataset.ready") == "true"
    yield browser
    assert browser.get_log("browser") == []
