"""The pose page as a person uses it: a file goes in, sliders move, the view and the numbers follow, mistakes are one clear line."""

from __future__ import annotations

import base64
import importlib.util
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frontalbench import images
from tests.browser import chromium

pytestmark = [pytest.mark.browser, pytest.mark.weights]

if importlib.util.find_spec("gradio") is None:  # loaded where it is used: every worker of xdist reads this file, and it takes seconds
    pytest.skip("the extra 'page' is not installed", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver")


@pytest.fixture(scope="module")
def address(weight: Callable[..., Path], project_root: Path) -> Iterator[str]:
    from frontalbench.page import blocks
    from frontalbench.page.session import Session

    chromium.needed()
    for kind, name in (("detector", "scrfd_500m"), ("landmarks", "face_landmarker"), ("backbone", "w600k_mbf")):
        weight(kind, name)
    page = blocks.build(Session(threads=2), [project_root / "demo/synthetic/synth_12/Angle/synth_12_r39.jpg"])
    yield blocks.launch(page, "127.0.0.1", 0, wait=False)
    page.close()


class Browser:
    """Chromium at the page; every name but this machine's resolves to nothing."""

    def __init__(self, address: str, *, width: int = 1300, dark: bool = False) -> None:
        driver = shutil.which("chromedriver")
        if driver is None:
            pytest.skip("no chromedriver here; install the system's package 'chromium-driver'")
        options = webdriver.ChromeOptions()
        options.binary_location = chromium.needed()
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
            options.add_argument(argument)
        options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1")
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get(address)
        self.until(lambda: self.find("#file input[type=file]"))

    def find(self, selector: str) -> Any:
        found = self.driver.find_elements("css selector", selector)
        return found[0] if found else None

    def until(self, condition: Callable[[], Any], seconds: float = 300.0) -> Any:
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, self.text()
            time.sleep(0.1)
        return value

    def text(self) -> str:
        element = self.find("#numbers")
        return element.text if element is not None else ""

    def drop(self, file: Path) -> None:
        clear = self.find("#file button[aria-label='Clear']")
        if clear is not None:
            clear.click()
        self.until(lambda: self.find("#file input[type=file]")).send_keys(str(file))

    def view(self) -> bytes:
        """The new view's image as the browser has it."""
        script = """const [done] = [arguments[arguments.length - 1]], i = document.querySelector('#view img');
        if (!i) return done('');
        fetch(i.src).then(r => r.blob()).then(b => {const f = new FileReader();
          f.onload = () => done(f.result.split(',')[1]); f.readAsDataURL(b)});"""
        return base64.b64decode(self.driver.execute_async_script(script))

    def requests(self) -> set[str]:
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}


def test_a_person_is_turned_and_turned_back(address: str, project_root: Path) -> None:
    browser = Browser(address)
    try:
        browser.drop(project_root / "demo/synthetic/synth_10/Angle/synth_10_l26.jpg")
        browser.until(lambda: "Drawn in" in browser.text())
        assert "w600k_mbf" in browser.text()
        front = browser.view()
        assert images.decode(front).shape[0] > 100
        slider = browser.find("#yaw input[type=range]")
        for _ in range(20):
            slider.send_keys("\ue014")  # arrow right
        browser.until(lambda: browser.view() not in (b"", front))
        assert browser.find("#yaw input[type=number]").get_attribute("value") == "20"
        browser.find("#front").click()
        browser.until(lambda: browser.view() == front)
        assert browser.find("#yaw input[type=number]").get_attribute("value") == "0"
        outside = {url for url in browser.requests() if not url.startswith((address, "data:", "blob:", "chrome:"))}
        assert outside == set(), "the page needs nothing from elsewhere"
    finally:
        browser.driver.quit()


def test_mistakes_are_one_clear_line(address: str, project_root: Path, tmp_path: Path) -> None:
    wrong, empty = tmp_path / "letter.txt", tmp_path / "wall.png"
    wrong.write_text("Dear Sir", encoding="utf-8")
    empty.write_bytes(images.encode_png(np.full((300, 300, 3), 90, np.uint8)))
    browser = Browser(address)
    try:
        browser.drop(wrong)
        line = browser.until(lambda: browser.find("[role=alert].problem"))
        assert line.text.startswith("This file is not an image that can be read")
        browser.drop(empty)
        browser.until(lambda: "No face was found in this image" in browser.text())
        browser.find("#examples button, #examples .gallery-item").click()
        browser.until(lambda: "Drawn in" in browser.text())
        if "liveportrait (weights missing)" in _options(browser):
            next(e for e in browser.driver.find_elements("css selector", "[role=option]") if e.text.startswith("liveportrait (")).click()
            browser.until(lambda: "appearance_feature_extractor.pth" in browser.text())
            assert browser.find("#view img") is None, "no old view beside the line that says why there is none"
    finally:
        browser.driver.quit()


def _options(browser: Browser) -> list[str]:
    browser.find("#model input").click()
    browser.until(lambda: browser.find("[role=option]"))
    return [element.text for element in browser.driver.find_elements("css selector", "[role=option]")]


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_a_phone_and_follows_the_dark_mode(address: str, project_root: Path, dark: bool) -> None:
    browser = Browser(address, width=390, dark=dark)
    try:
        browser.drop(project_root / "demo/synthetic/synth_10/Angle/synth_10_l26.jpg")
        browser.until(lambda: "Drawn in" in browser.text())
        run = browser.driver.execute_script
        assert run("return [document.documentElement.scrollWidth, innerWidth]") == [390, 390]
        colours = run("const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]")
        light = [sum(int(v) for v in colour[4:-1].split(",")[:3]) / 3 for colour in colours]
        assert (light[0] < 60 and light[1] > 150) if dark else (light[0] > 200 and light[1] < 100), colours
    finally:
        browser.driver.quit()
