"""A real browser without a window, and what its screenshots show."""

import contextlib
import struct
import zlib

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--window-size=1100,900")


@contextlib.contextmanager
def chromium():
    """Debian's Chromium, driven by keyboard and pointer; it reaches no network."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in (*ARGUMENTS, "--proxy-server=127.0.0.1:9"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


def prefer(driver, **features):
    """Sets media features, such as prefers_color_scheme="dark"."""
    values = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": values})


def colours(png):
    """How many pixels of a PNG have each colour, as (red, green, blue)."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert depth == 8 and kind in (2, 6), "a PNG of 8 bits, with or without transparency"
    data, place = b"", 8
    while place < len(png):
        length, name = struct.unpack(">I4s", png[place:place + 8])
        if name == b"IDAT":
            data += png[place + 8:place + 8 + length]
        place += length + 12
    raw, size = zlib.decompress(data), 3 if kind == 2 else 4
    counts, above = {}, bytearray(width * size)
    for row in range(height):
        start = row * (width * size + 1)
        line = unfilter(raw[start], bytearray(raw[start + 1:start + 1 + width * size]), above, size)
        # Every other line is enough.
        if row % 2 == 0:
            for x in range(0, len(line), size):
                key = bytes(line[x:x + 3])
                counts[key] = counts.get(key, 0) + 1
        above = line
    return {tuple(key): count for key, count in counts.items()}


def unfilter(kind, line, above, size):
    """A line of a PNG without its filter."""
    for x, value in enumerate(line if kind else b""):
        left = line[x - size] if x >= size else 0
        up = above[x]
        corner = above[x - size] if x >= size else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        else:
            guess = min((abs(up - corner), 0, left), (abs(left - corner), 1, up), (abs(left + up - 2 * corner), 2, corner))[2]
        line[x] = (value + guess) & 255
    return line
