"""Headless Chromium without any network, driven through its command line: the page as it is after its scripts have run, and an image of it."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

BINARY = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def needed() -> str:
    """The browser's path; the test is skipped where there is none."""
    if BINARY is None:
        pytest.skip("no Chromium here; install the system's package 'chromium' to run the browser tests")
    return BINARY


def open_page(
    page: Path,
    profile: Path,
    *,
    width: int = 1400,
    height: int = 1000,
    dark: bool = False,
    shot: Path | None = None,
    fragment: str = "",
    real_time: bool = False,
) -> str:
    """The page's HTML after its scripts have run for a while; ``shot``: also write a PNG; ``real_time``: as soon as it has loaded (:func:`holding`),
    by the clock of the machine, by which clips play: a budget of virtual time lets them stand.

    Every name resolves to nothing, so a request to the outside fails; scripts that fail or reach out leave a line in :func:`console`.
    """
    arguments = [
        needed(),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--allow-file-access-from-files",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--enable-logging=stderr",
        "--v=0",
        *([] if real_time else ["--virtual-time-budget=8000"]),
        f"--user-data-dir={profile}",
        f"--window-size={width},{height}",
        *(["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []),
        *([f"--screenshot={shot}"] if shot else ["--dump-dom"]),
        page.resolve().as_uri() + fragment,
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (profile / "console.txt").write_text(done.stderr, encoding="utf-8")
    return done.stdout


@contextlib.contextmanager
def holding(script: str) -> Iterator[str]:
    """A script element that runs ``script`` (which awaits what it likes) and holds the page's load event up until it has ended, 60 s at most: by an
    image of a server on this machine that answers when it is told to."""
    done = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/held":
                done.wait(60.0)
            else:
                done.set()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    end = f"finally {{ new Image().src = '{address}/done'; }}"
    try:
        yield f"<img src='{address}/held' alt=''><script>(async () => {{ try {{ {script} }} {end} }})()</script>"
    finally:
        done.set()
        server.shutdown()
        server.server_close()


def ink(shot: Path, *, left: float = 0.0, right: float = 1.0) -> float:
    """The share of pixels, 0 .. 1, of a part of a screenshot (``left`` .. ``right`` of its width) that clearly differ from its commonest colour."""
    with Image.open(shot) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    part = pixels[:, round(left * pixels.shape[1]) : round(right * pixels.shape[1])].reshape(-1, 3)
    colours, counts = np.unique(part, axis=0, return_counts=True)
    return float((np.abs(part.astype(int) - colours[counts.argmax()]).max(axis=1) > 40).mean())


def console(profile: Path) -> list[str]:
    """What the page of the last :func:`open_page` said on the console."""
    text = (profile / "console.txt").read_text(encoding="utf-8")
    return re.findall(r"CONSOLE[^\]]*\] (.*)", text)


def outside_addresses(html: str) -> list[str]:
    """Addresses in attributes that a browser would fetch from elsewhere on opening the page (links that a person may click are none)."""
    found = re.findall(
        r"<(?:script|img|iframe|source|link|video|audio|object|embed)\b[^>]*?\b(?:src|href|data)\s*=\s*[\"']?((?:https?:)?//[^\"' >]+)",
        html,
    )
    return found + re.findall(r"url\([\"']?((?:https?:)?//[^\"')]+)", html)
