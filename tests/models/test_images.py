"""Every kind of image that people have becomes upright RGB, and everything else is refused with a reason.

With real weights or photographs.
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import images


def test_real_photographs_decode(shared: Path) -> None:
    photograph = next((shared / "testdata" / "lfw").rglob("*.jpg"))
    decoded = images.decode(photograph.read_bytes())
    assert decoded.shape == (250, 250, 3)
    assert images.size_of(photograph.read_bytes()) == (250, 250)
