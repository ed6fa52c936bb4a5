"""From a table back to the image files, through the provenance records."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from frontalbench import tables
from frontalbench.upkeep import environment


def trace(path: Path, root: Path) -> Iterator[str]:
    """Lines that tell, indented by depth, what made ``path`` and each of its inputs; an input that has changed or gone since is marked.

    ``root``: the folder that recorded relative paths start from. Raises BadInput when ``path`` itself is not a table.
    """
    yield from _trace(path, root, 0, set())


def _trace(path: Path, root: Path, depth: int, told: set[Path]) -> Iterator[str]:
    record = tables.provenance(path)
    indent = "  " * depth
    if not record:
        yield f"{indent}{path}: no provenance record"
        return
    made = time.strftime(", %Y-%m-%d %H:%M:%S UTC", time.gmtime(record["time"])) if "time" in record else ""
    card = f" with {record['card']} ({record['card_digest'][:16]})" if record.get("card") else ""
    machine = f", {record['threads']} thread(s), {record.get('provider') or record['device']}" if record.get("device") else ""
    yield f"{indent}{path}: {record.get('stage', '?')}{card} by {record.get('tool', '?')}{made}{machine}"
    if path in told:
        yield f"{indent}  (told above)"
        return
    told.add(path)
    software = environment.of_record(record, path)
    if software:
        yield f"{indent}  computed with {environment.told(software)}"
    if environment.mixed(software):
        yield f"{indent}  MIXED: {environment.told(environment.mixed(software))}"
    for name, digest in record.get("inputs", {}).items():
        source = root / name
        if not source.is_file():
            yield f"{indent}  {name}: gone (sha256 was {digest[:16]})"
            continue
        if not tables.same_as_recorded(source, digest):
            yield f"{indent}  {name}: CHANGED since (sha256 was {digest[:16]})"
        if source.suffix == ".parquet":
            yield from _trace(source, root, depth + 1, told)
        else:
            yield f"{indent}  {name}: sha256 {digest[:16]}"
    if record.get("stage") in ("prepare", "folder"):
        for row in tables.read(path, columns=["image_id", "source", "sha256", "status"]).to_pylist():
            yield f"{indent}  {row['source']}: sha256 {row['sha256'][:16]} ({row['status']})"
