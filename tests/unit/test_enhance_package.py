"""A restoration package in its own environment: what it is handed, and what becomes of what it gives back."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from frontalbench import status
from frontalbench.catalogue import cards, external
from frontalbench.catalogue.external import FAMILY
from frontalbench.detect.base import Detections
from frontalbench.enhance.external import ByPackage
from frontalbench.enhance.restoration import SIDE, Finish
from frontalbench.errors import BadConfig
from frontalbench.external.settings import Limits, SystemSettings, Wanted
from frontalbench.frontalize.external import ExternalFrontalizer, Places
from frontalbench.images import RGB
from tests.unit.test_corrections import Fixed, portrait

BRIGHTER = """
import json, sys
from pathlib import Path
import cv2
job = Path(sys.argv[1])
manifest = json.loads((job / "in" / "manifest.json").read_text())
with (job / "out" / "status.jsonl").open("a") as said:
    for asked in manifest["pictures"]:
        image = cv2.imread(str(job / asked["file"]))
        line = {"name": asked["name"], "seconds": 0.5}
        if WHEN:
            line["reason"] = "CUDA out of memory"
        else:
            cv2.imwrite(str(job / "out" / (asked["name"] + ".png")), cv2.resize(image, (SIDE, SIDE)) // 2 + 100)
            line["ok"] = True
        said.write(json.dumps(line) + "\\n")
        said.flush()
"""


class Sees(Fixed):
    """No face in black images."""

    def detect(self, image: RGB) -> Detections:
        return Detections.none() if image.max() == 0 else super().detect(image)


def package(folder: Path, *, side: int = SIDE, fails: str = "False") -> ByPackage:
    program = folder / "run.py"
    program.write_text(BRIGHTER.replace("WHEN", fails).replace("SIDE", str(side)), encoding="utf-8")
    settings = SystemSettings(Limits(start=60, image=30), Wanted(size=(SIDE, SIDE)), {}, 0, 0)
    system = ExternalFrontalizer("pkg", Places(Path(sys.executable), program), settings)
    return ByPackage("pkg", system, Sees(), Finish(mode="full", sigma=0.0, feather=0.1))


def test_every_face_goes_through_the_package_once_and_lands_where_it_was(tmp_path: Path) -> None:
    image, black = portrait(marked=False), np.zeros((160, 140, 3), np.uint8)
    outcomes = package(tmp_path).enhance([image, black, image])
    assert [one.status for one in outcomes] == [status.OK, status.NO_FACE, status.OK]
    made = outcomes[0].image
    assert made is not None
    middle = (slice(70, 100), slice(60, 90))
    assert np.abs(made[middle].astype(int) - (image[middle] // 2 + 100)).mean() < 4
    assert np.array_equal(made[:3], image[:3])
    assert outcomes[0].seconds >= 0.5
    assert np.array_equal(made, outcomes[2].image)


def test_a_face_that_the_package_fails_on_or_gives_in_another_size_is_a_row_with_its_reason(tmp_path: Path) -> None:
    image = portrait(marked=False)
    outcomes = package(tmp_path, fails='asked["name"] == "000000"').enhance([image, image])
    assert [one.status for one in outcomes] == [status.MODEL_ERROR, status.OK]
    assert outcomes[0].detail == "CUDA out of memory"
    [outcome] = package(tmp_path, side=256).enhance([image])
    assert (outcome.status, outcome.detail) == (status.MODEL_ERROR, "wrong size: 256 x 256 pixels, expected 512 x 512")


def test_without_any_face_nothing_is_started(tmp_path: Path) -> None:
    restorer = package(tmp_path)
    (tmp_path / "run.py").unlink()
    assert [one.status for one in restorer.enhance([np.zeros((160, 140, 3), np.uint8)])] == [status.NO_FACE]
    assert restorer.enhance([]) == []


def test_the_card_names_its_adapter_and_differs_from_ours_in_who_computes_alone() -> None:
    package, own = cards.find("enhancement", "gfpgan_full_pkg"), cards.find("enhancement", "gfpgan_full")
    assert package.family == FAMILY
    assert package.params["feather"] == own.params["feather"]
    assert {used.name for used in package.used_cards()} == {"gfpgan_full", *(used.name for used in own.used_cards())}
    said = external.read(package)
    assert said.build is not None
    assert said.requirements is not None
    first, rest = (
        {line.partition("==")[0]: line for line in path.read_text().splitlines() if "==" in line}
        for path in (said.build, said.requirements)
    )
    shared = set(first) & set(rest)
    assert {"torch", "torchvision", "numpy"} <= shared
    assert all(first[name] == rest[name] for name in shared)  # what it was built for is what it runs with


def test_what_is_built_first_decides_the_environment_too(tmp_path: Path) -> None:
    said = external.read(cards.find("enhancement", "gfpgan_full_pkg"))
    from dataclasses import replace

    folder = tmp_path / "adapter"
    folder.mkdir()
    for path in (said.program, said.requirements, said.build):
        assert path is not None
        (folder / path.name).write_bytes(path.read_bytes())
    copy = replace(said, folder=folder)
    assert copy.environment_digest() == said.environment_digest()
    (folder / external.BUILD).write_text("torch==1.0\n", encoding="utf-8")
    assert copy.environment_digest() != said.environment_digest()


def test_an_enhancement_of_a_foreign_package_without_an_adapter_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "enhancements"
    folder.mkdir(parents=True)
    text = (cards.find("enhancement", "none").path).read_text(encoding="utf-8")
    (folder / "mine.yaml").write_text(
        text.replace("name: none", "name: mine").replace("family: keep", "family: external"), encoding="utf-8"
    )
    with pytest.raises(BadConfig, match="external: missing"):
        cards.find("enhancement", "mine", tmp_path / "models")
