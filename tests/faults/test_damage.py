"""Tables that were damaged after they had been written: every damage is found by a checksum, named in one line, and can be rebuilt."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from frontalbench import tables
from frontalbench.errors import BadInput

from .conftest import Stages

pytestmark = [pytest.mark.weights, pytest.mark.xdist_group("faults")]

SCHEMAS = {
    "prepare": tables.IMAGES,
    "detect": tables.CROPS,
    "pose": tables.POSE,
    "people": tables.LISTED,
    "frontalize": tables.FRONTALS,
    "embed": tables.embeddings_schema(512),
    "compare": tables.SIMILARITY,
}


def damaged(data: bytes, seed: int) -> bytes:
    """One bit turned, a block of zeros, or the end cut off: half of the bits in the last 3,000 bytes, where names, types and records are."""
    rng = random.Random(seed)
    if seed % 10 == 0:
        return data[: rng.randrange(len(data))]
    changed = bytearray(data)
    if seed % 10 == 1:
        start = rng.randrange(len(data))
        changed[start : start + 512] = bytes(len(changed[start : start + 512]))
    else:
        changed[rng.randrange(max(0, len(data) - 3000) if seed % 2 else 0, len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("stage", SCHEMAS)
def test_no_damage_changes_a_value_or_a_record_without_being_found(stages: Stages, tmp_path: Path, stage: str) -> None:
    source = stages.outputs(stage, stages.folder)[0]
    data = source.read_bytes()
    values, record = tables.read(source, SCHEMAS[stage]).to_pydict(), tables.provenance(source)
    copy = tmp_path / "damaged.parquet"
    found = 0
    for seed in range(250):
        copy.write_bytes(damaged(data, seed))
        try:
            again = tables.read(copy, SCHEMAS[stage]).to_pydict()
            kept = tables.provenance(copy)
        except BadInput as error:
            assert str(error).startswith(f"{copy}: ")
            assert "\n" not in str(error)
            found += 1
        else:  # a byte that nobody reads, such as the name of the writing program
            assert again == values
            assert kept == record
    assert found > 125, "most damage is found; the rest meets bytes that nobody reads"


def test_a_stage_says_which_table_is_damaged_and_what_to_do(stages: Stages, tmp_path: Path) -> None:
    shutil.copytree(stages.folder, tmp_path / "run")
    here = Stages(tmp_path / "run", stages.images)
    crops = here.outputs("detect", here.folder)[0]
    data = bytearray(crops.read_bytes())
    data[len(data) // 2] ^= 0x08
    crops.write_bytes(data)
    done = here.run("embed", tmp_path / "out")
    assert done.returncode == 2
    assert str(crops) in done.stderr and "run again to rebuild it" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not here.content("embed", tmp_path / "out")
