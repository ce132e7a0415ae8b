"""The page of `make map` in a real browser: what it shows, that its numbers are the dump's, keyboard and pointer.

How it plays a trace: test_map_timeline.py.
"""

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browser import colours, prefer
from map_page import SHOTS, one
from memory_map.uses import BY_KEY, free_shade


def rgb(colour):
    return tuple(int(colour[place:place + 2], 16) for place in (1, 3, 5))


def whatis(page):
    return one(page, "#whatis").text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_legends_colours_are_on_the_screen(page, theme):
    prefer(page, prefers_color_scheme=theme)
    (SHOTS / f"{theme}.png").write_bytes(page.get_screenshot_as_png())
    found = colours(one(page, "#frames").screenshot_as_png)
    # The ground, and each use that has room: exact colours, in many pixels.
    for key in ("allocated", "kmalloc", "vmalloc", "reserved"):
        assert found.get(rgb(getattr(BY_KEY[key], theme)), 0) > 100, key
    assert found.get(rgb(free_shade(10, theme)), 0) > 2000
    other = "dark" if theme == "light" else "light"
    assert found.get(rgb(free_shade(10, other)), 0) < 100


def test_the_button_changes_the_theme(page):
    def ground():
        return page.execute_script("return getComputedStyle(document.body).backgroundColor")
    before = ground()
    one(page, "#theme").send_keys(Keys.ENTER)
    assert ground() != before
    one(page, "#theme").send_keys(Keys.ENTER)
    assert ground() == before


def test_the_numbers_are_the_dumps(page, model):
    rows = {row.get_attribute("data-use"): row for row in page.find_elements(By.CSS_SELECTOR, "#sums tr")}
    shown = {use: int(row.get_attribute("data-frames")) for use, row in rows.items()}
    assert shown == {**model.sums, "all": model.frame_count}
    for use, row in rows.items():
        assert row.find_elements(By.CSS_SELECTOR, "td")[0].text == f"{shown[use]:,}"
    assert shown["all"] - shown["reserved"] == sum(zone.managed for zone in model.dump.zones)
    # What the script counts for itself is the same.
    assert page.execute_script("return Object.fromEntries(uses.map((use, index) => [use.key, sums[index]]).filter((pair) => pair[1]))") == model.sums
    for zone in model.dump.zones:
        bars = page.find_elements(By.CSS_SELECTOR, f'svg[data-zone="{zone.name}"] rect[data-order]')
        assert [int(bar.get_attribute("data-count")) for bar in bars] == model.free_blocks(zone)
        dots = page.find_elements(By.CSS_SELECTOR, f'svg[data-zone="{zone.name}"] circle')
        shares = [float(dot.get_attribute("data-unusable")) for dot in dots]
        assert shares == pytest.approx(model.unusable(model.free_blocks(zone)), abs=1e-4)


def test_slabs_and_areas_are_the_dumps(page, model):
    more = one(page, "#all-caches")
    more.click()
    cards = {card.get_attribute("data-cache"): card for card in page.find_elements(By.CSS_SELECTOR, ".cache")}
    assert set(cards) == {cache.name for cache in model.dump.caches}
    for cache in model.dump.caches:
        used = sum(slab.used for slab in cache.slabs)
        assert int(cards[cache.name].get_attribute("data-used")) == used
        shown = page.execute_script(
            "return [...arguments[0].querySelectorAll('svg.slab')].map((slab) => [+slab.dataset.frame, +slab.dataset.used])",
            cards[cache.name])
        assert shown == sorted([slab.frame, slab.used] for slab in cache.slabs)
        # Each object is a square, of the path of its state.
        squares = page.execute_script(
            "return [...arguments[0].querySelectorAll('svg.slab')].map((slab) => "
            "[...slab.querySelectorAll('path')].map((path) => path.getAttribute('d').split('M').length - 1))",
            cards[cache.name])
        for slab, (hollow, half, full, other) in zip(sorted(cache.slabs, key=lambda slab: slab.frame), squares):
            counts = [slab.states.count(letter) for letter in ".mAqr"]
            assert [hollow, half, full, other] == [counts[0] + counts[1], counts[1], counts[2], counts[3] + counts[4]]
    rows = page.execute_script(
        "return [...document.querySelectorAll('.area')].map((row) => [row.dataset.start, row.dataset.kind, +row.dataset.present])")
    assert rows == [[f"{area.start:#x}", area.kind, sum(part.count for part in area.pages if part.kind == "mapped")]
                    for area in model.dump.areas]


def test_the_tables_have_every_line(page, model):
    for name, count in (("runs", len(model.dump.runs)), ("zones", len(model.dump.zones)), ("slabs", len(model.dump.caches)),
                        ("areas", len(model.dump.areas)), ("mappings", len(model.dump.mappings))):
        one(page, f"#{name}-table summary").click()
        # The table is made when the browser says that it is open, which it does after the click.
        page.execute_async_script("setTimeout(arguments[0], 50)")
        assert len(page.find_elements(By.CSS_SELECTOR, f"#{name}-table tbody tr")) == count
    total = page.execute_script(
        "return [...document.querySelectorAll('#runs-table tbody tr')]"
        ".reduce((sum, row) => sum + +row.children[1].textContent.replaceAll(',', ''), 0)")
    assert total == model.frame_count


def test_the_pointer_shows_what_the_dump_says(page, model):
    """Frames of each use, hit where the picture has them."""
    canvas = one(page, "#frames")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    for use in ("slab", "vmalloc", "kmalloc", "allocated", "reserved", "free"):
        run = max((run for run in model.dump.runs if run.use == use), key=lambda run: run.count)
        frame = run.first + run.count // 2
        x, y = page.execute_script(
            "const [x, y, w, h] = toScreen(rectangleOf(arguments[0], 0));"
            "return [x + w / 2 - view.width / 2, y + h / 2 - view.height / 2]", frame)
        ActionChains(page, duration=0).move_to_element_with_offset(canvas, round(x), round(y)).perform()
        found = int(canvas.get_attribute("data-frame"))
        assert run.first <= found < run.end
        assert whatis(page) == model.whatis(found) == one(page, "#tip").text
        details = dict(zip((item.text for item in page.find_elements(By.CSS_SELECTOR, "#details dt")),
                           (item.text for item in page.find_elements(By.CSS_SELECTOR, "#details dd"))))
        assert details["Frame"] == f"{found:#x}" and details["Physical"] == f"{found * 4096:#x}"


def test_whatis_says_the_same_of_every_run(page, model):
    frames = [frame for run in model.dump.runs for frame in {run.first, run.end - 1}] + [0x7fffff]
    shown = page.execute_script("return arguments[0].map((frame) => describe(frame).line)", frames)
    assert shown == [model.whatis(frame) for frame in frames]


def test_objects_are_named_under_the_pointer(page, model):
    cache = max(model.dump.caches, key=lambda cache: len(cache.slabs) << cache.order)
    slab = min(cache.slabs, key=lambda slab: slab.frame)
    element = one(page, f'.cache[data-cache="{cache.name}"] svg.slab')
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    box = element.size
    ActionChains(page, duration=0).move_to_element_with_offset(
        element, 4 - box["width"] // 2, 4 - box["height"] // 2).perform()
    state = {"A": "in use", ".": "free", "m": "free, in a magazine"}[slab.states[0]]
    assert one(page, "#tip").text.startswith(
        f"object {slab.base:#x} of {cache.name} ({cache.object_size} bytes, {state}) · slab {slab.base:#x}")


def test_the_keyboard_walks_the_map(page, model):
    canvas = one(page, "#frames")
    runs = model.dump.runs
    canvas.send_keys(Keys.ARROW_RIGHT)
    assert whatis(page) == model.whatis(runs[0].first)
    canvas.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert whatis(page) == model.whatis(runs[2].first)
    canvas.send_keys(Keys.ARROW_LEFT)
    assert whatis(page) == model.whatis(runs[1].first)
    canvas.send_keys(Keys.END)
    assert whatis(page) == model.whatis(runs[-1].first)
    canvas.send_keys(Keys.ARROW_UP)
    assert whatis(page) != model.whatis(runs[-1].first)
    canvas.send_keys(Keys.HOME, Keys.ENTER)
    scale = page.execute_script("return view.scale / view.fitted")
    assert scale > 1.2
    canvas.send_keys("+")
    assert page.execute_script("return view.scale / view.fitted") >= scale
    canvas.send_keys("0")
    assert page.execute_script("return view.scale / view.fitted") == 1
    assert "3px" in page.execute_script("return getComputedStyle(document.activeElement).outlineWidth")


def test_everything_is_reached_by_tab(page):
    """In the order in which it stands, without traps, and with a name each."""
    one(page, "body").send_keys(Keys.TAB)
    seen = []
    for _ in range(400):
        found = page.execute_script(
            "const e = document.activeElement; return [e.tagName + '#' + e.id + '.' + e.getAttribute('class'),"
            "(e.getAttribute('aria-label') || e.textContent || (e.labels && e.labels[0] || {}).textContent || '').trim()]")
        if found[0].startswith("BODY"):
            break
        seen.append(found)
        page.switch_to.active_element.send_keys(Keys.TAB)
    assert found[0].startswith("BODY"), "the order of tabs does not end"
    assert all(name for _, name in seen), [tag for tag, name in seen if not name]
    tags = " ".join(tag for tag, _ in seen)
    order = ["A#", "BUTTON#theme", "BUTTON#zoom-out", "CANVAS#frames", "BUTTON#play", "INPUT#moment", "BUTTON#.key",
             "svg#.slab", "DIV#.area", "SUMMARY#"]
    places = [tags.find(tag) for tag in order]
    assert -1 not in places and places == sorted(places)


def test_arrow_keys_move_among_slabs_and_areas(page, model):
    slabs = page.find_elements(By.CSS_SELECTOR, ".cache:first-child svg.slab")
    slabs[0].send_keys(Keys.ARROW_RIGHT)
    assert page.switch_to.active_element == slabs[1]
    assert whatis(page) == model.whatis(int(slabs[1].get_attribute("data-frame")))
    areas = page.find_elements(By.CSS_SELECTOR, ".area")
    areas[0].send_keys(Keys.ARROW_DOWN)
    assert page.switch_to.active_element == areas[1]
    areas[1].send_keys(Keys.ARROW_RIGHT)
    area = model.dump.areas[1]
    assert whatis(page).startswith(f"{area.start:#x} · {area.kind} area {area.name} + 0x0")


def test_the_legend_picks_out_a_use(page):
    before = colours(one(page, "#frames").screenshot_as_png)
    key = one(page, 'button.key[data-use="vmalloc"]')
    page.execute_script("arguments[0].click(); window.scrollTo(0, 0)", key)
    page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    after = colours(one(page, "#frames").screenshot_as_png)
    green, orange = rgb(BY_KEY["kmalloc"].light), rgb(BY_KEY["vmalloc"].light)
    assert key.get_attribute("aria-pressed") == "true"
    assert after.get(green, 0) < before[green] / 4 and after[orange] > before[orange] / 2
