"""The page of `make map` plays a trace: what frames are at each event, its controls, and who wants less motion."""

import re

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from browser import prefer
from map_page import one, trace_of
from memory_map.page import write_page


def test_the_trace_is_played(page, model):
    assert not one(page, "#no-trace").is_displayed()
    _, steps = trace_of(model)
    events = 2 * len(steps)
    status = one(page, "#event")
    slider = one(page, "#moment")
    assert int(status.get_attribute("data-moment")) == events == int(slider.get_attribute("max"))

    def state(run):
        return page.execute_script(
            "const states = timeline.statesOf(Math.floor(arguments[0] / SECTION));"
            "return uses[states ? states[arguments[0] % SECTION] : stateInDump(arguments[0])].key", run.first)

    one(page, "#to-start").click()
    assert status.get_attribute("data-moment") == "0"
    expected = {run.first: "free" for _, run in steps}
    for index, (kind, run) in enumerate(steps):
        assert {run.first: state(run) for _, run in steps} == expected
        one(page, "#step").click()
        assert f"mm_page_{kind}" in status.text and f"pfn={run.first:#x}" in status.text
        assert f"{2 * index + 1} of {events}" in status.text
        expected[run.first] = "allocated" if kind == "alloc" else "free"
        one(page, "#step").click()
        assert "kmalloc" in status.text
    # The dump is the end of it, and back is the way it came.
    assert {run.first: state(run) for _, run in steps} == {run.first: run.use for _, run in steps}
    one(page, "#step-back").click()
    one(page, "#step-back").click()
    assert state(steps[-1][1]) == "allocated"
    # As a person does it: WebDriver's own keys for a slider only set its value.
    page.execute_script("arguments[0].focus()", slider)
    ActionChains(page).send_keys(Keys.HOME).perform()
    assert status.get_attribute("data-moment") == "0"
    ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
    assert status.get_attribute("data-moment") == "1"


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_nothing_moves_by_itself_for_who_wants_less(page, motion):
    prefer(page, prefers_reduced_motion=motion)
    moving = page.execute_script(
        "return [...document.querySelectorAll('*')].map((element) => getComputedStyle(element)).filter((style) => "
        "style.animationName !== 'none' || parseFloat(style.transitionDuration) > 0 || style.scrollBehavior === 'smooth').length")
    assert (moving == 0) == (motion == "reduce")
    # And a trace waits to be played.
    assert page.execute_script("return timeline.timer") == 0


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_playing_ends_and_can_be_paused(page, model, motion):
    """And a screen reader is told of single steps and of the end, not of what flies past."""
    prefer(page, prefers_reduced_motion=motion)
    one(page, '#speed option[value="1"]').click()
    events = 2 * len(trace_of(model)[1])
    # In one go, so that it cannot have come to its end in between.
    shown = page.execute_script(
        "const play = document.getElementById('play'), event = document.getElementById('event');"
        "return [1, 2, 3].map(() => { play.click();"
        "return [play.textContent, play.getAttribute('aria-pressed'), event.getAttribute('aria-live')]; })")
    assert shown == [["Pause", "true", "off"], ["Play", "false", "polite"], ["Pause", "true", "off"]]
    # Who asked for less motion sees a picture a second; else twenty.
    assert page.execute_script("return calm.matches") == (motion == "reduce")
    done = ("const done = arguments[0]; const wait = () => timeline.timer ? setTimeout(wait, 20) : done(+moment.value);"
            "const moment = document.getElementById('moment'); wait()")
    page.set_script_timeout(60)
    assert page.execute_async_script(done) == events
    assert one(page, "#event").get_attribute("aria-live") == "polite"


def test_the_page_without_a_trace_has_no_controls_for_one(browser, model, tmp_path):
    path = tmp_path / "plain.html"
    path.write_text(write_page(model, None))
    browser.get(path.as_uri())
    assert not one(browser, "#timeline").is_displayed()
    # But it says how to get one.
    assert "make map TRACE=" in one(browser, "#no-trace").text
    assert browser.get_log("browser") == []
    assert re.search(r"\d frames in \d+ regions", one(browser, "#frames").get_attribute("aria-label"))
