"""Tables say with what they and their inputs were computed, and a run that mixes versions is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from frontalbench import tables
from frontalbench.stages import common
from frontalbench.tabulate import cell_of
from frontalbench.tabulate.software import software_rows
from frontalbench.upkeep import checkup, environment, lineage

PLAIN = pa.table({"value": [1.0]})


def made(path: Path, software: Mapping[str, list[str]], *inputs: Path) -> Path:
    record = {
        "stage": "test",
        "software": dict(software),
        "inputs": {str(p.relative_to(path.parents[1])): tables.file_sha256(p) for p in inputs},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    tables.write(path, PLAIN, record)
    return path


def test_what_was_imported_is_named_with_its_version() -> None:
    found = environment.software()
    assert found["numpy"] == [np.__version__] and found["python"] == [".".join(map(str, sys.version_info[:3]))]
    assert found[environment.CPU][0]
    code = "from frontalbench.upkeep import environment; print(sorted(environment.software()))"
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "torch" not in alone and "python" in alone, "what was not imported computed nothing"


def test_a_table_carries_the_versions_of_its_inputs(tmp_path: Path) -> None:
    old = made(tmp_path / "results" / "old.parquet", {"opencv": ["4.12.0.88"], "python": ["3.11.2"]})
    new = made(tmp_path / "results" / "new.parquet", {"opencv": ["5.0.0.93"]})
    record = common.provenance("compare", [old, new])
    assert record["software"]["opencv"][:2] == ["4.12.0.88", "5.0.0.93"]
    assert "3.11.2" in record["software"]["python"]
    tables.write(tmp_path / "results" / "cell.parquet", PLAIN, record)
    told = "\n".join(lineage.trace(tmp_path / "results" / "cell.parquet", Path()))
    assert "MIXED" in told and "opencv 4.12.0.88 or 5.0.0.93" in told


def test_the_tables_of_the_rarer_version_are_named_and_not_what_hangs_on_them(tmp_path: Path) -> None:
    results = tmp_path / "results"
    same = {"opencv": ["5.0"], "cpu": ["x86_64 avx2"]}
    shards = [made(results / f"crops{i}.parquet", same) for i in range(3)]
    odd = made(results / "crops3.parquet", {"opencv": ["4.12"], "cpu": ["x86_64 avx2"]})
    embedded = made(results / "embeddings.parquet", {"opencv": ["4.12", "5.0"], "cpu": ["x86_64 avx2"]}, odd, shards[0])
    made(results / "similarity.parquet", {"opencv": ["4.12", "5.0"], "cpu": ["x86_64 avx2"]}, embedded)
    found = checkup.mixed(results)
    assert [(f.path, f.word) for f in found] == [(odd, "mixed")]
    assert "opencv 4.12" in found[0].detail and "opencv 5.0" in found[0].detail
    assert checkup.mend(found[0]) and not odd.exists()


def test_a_table_computed_elsewhere_from_tables_that_agree_is_named(tmp_path: Path) -> None:
    results = tmp_path / "results"
    shards = [made(results / f"crops{i}.parquet", {"cpu": ["x86_64 avx512f"]}) for i in range(3)]
    odd = made(results / "embeddings.parquet", {"cpu": ["x86_64 avx2", "x86_64 avx512f"]}, *shards)
    assert [f.path for f in checkup.mixed(results)] == [odd]


def test_the_master_tables_say_with_what_the_cells_were_computed(tmp_path: Path) -> None:
    cells = []
    for i, versions in enumerate((["5.0"], ["5.0"], ["4.12", "5.0"])):
        path = made(tmp_path / f"similarity/tiny/mirror.none/scrfd_500m/b{i}.parquet", {"opencv": versions, "numpy": ["2.4.6"]})
        cells.append(cell_of(path))
    rows = {(row["software"], row["version"]): row for row in software_rows(cells)}
    assert {key: row["n_cells"] for key, row in rows.items()} == {("numpy", "2.4.6"): 3, ("opencv", "4.12"): 1, ("opencv", "5.0"): 3}
    assert rows["opencv", "5.0"]["mixed"] and "--mixed" in rows["opencv", "4.12"]["note"]
    assert not rows["numpy", "2.4.6"]["mixed"] and not rows["numpy", "2.4.6"]["note"]


@pytest.mark.parametrize("software", [{}, {"opencv": ["5.0"]}])
def test_a_run_of_one_version_mixes_nothing(tmp_path: Path, software: dict[str, list[str]]) -> None:
    for i in range(3):
        made(tmp_path / "results" / f"{i}.parquet", software)
    assert checkup.mixed(tmp_path / "results") == []
