"""Stage prepare: one row per file with its own bytes, whatever is wrong with it; the command line.

With real weights or photographs.
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import images
from frontalbench.stages import prepare


def test_header_size_is_what_pillow_says_for_real_images(shared: Path) -> None:
    files = [*(shared / "testdata").glob("lfw/*/*_0001.jpg"), *(shared / "testdata").glob("cfp/Data/Images/0[0-4]*/*/01.jpg")]
    files += [*(shared / "testdata").glob("frll/*/00*.jpg"), *(shared / "testdata").glob("aflw2000/*.jpg")]
    files += (shared / "testdata").glob("biwi_one_frame/*.png")
    assert len(files) > 150
    for file in files:
        data = file.read_bytes()
        assert prepare.header_size(data) == images.size_of(data)
        assert (prepare.jpeg_size(data) is not None) == (file.suffix == ".jpg")
