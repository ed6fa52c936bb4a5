"""What all stages share: provenance records, rows that pass through, the frame of a model stage."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

import pyarrow as pa

from frontalbench import __version__, images, status, tables
from frontalbench.errors import BadInput, Unreadable, WeightsMissing
from frontalbench.images import RGB
from frontalbench.stages import overlap
from frontalbench.upkeep import environment

HEAD = ("image_id", "identity", "role")

Row = dict[str, Any]
Model = TypeVar("Model")


def provenance(
    stage: str,
    inputs: Iterable[str | os.PathLike[str]],
    *,
    card: str = "",
    card_digest: str = "",
    threads: int = 0,
    device: str = "",
    **more: Any,
) -> dict[str, Any]:
    """The record written into a table: what made it, from which inputs (sha256 by path as given), with what, when (UTC seconds).

    ``software`` in it names the versions that computed the table and everything it was made from (:mod:`frontalbench.upkeep.environment`).
    """
    digests: dict[str, str] = {}
    before = []
    for path in map(str, inputs):
        if path.endswith(".parquet"):
            digests[path], earlier = tables.identified(path)
            before.append(environment.of_record(earlier, path))
        else:
            digests[path] = tables.file_sha256(path)
    return {
        "stage": stage,
        "tool": f"frontalbench {__version__}",
        "card": card,
        "card_digest": card_digest,
        "inputs": digests,
        "threads": threads,
        "device": device,
        "provider": environment.provider(device) if device else "",
        "software": environment.union([*before, environment.software()]),
        "time": int(time.time()),
        **more,
    }


def of_another_shard(path: str | os.PathLike[str] | None, image_id: str) -> BadInput:
    """What is raised where the table at ``path``, made of a shard, has no row for an image of it."""
    return BadInput(f"{path}: no row for image '{image_id}'; it belongs to another version of this shard, make it anew")


def head(row: Mapping[str, Any]) -> Row:
    """The columns that every table starts with."""
    return {name: row[name] for name in HEAD}


def passed_through(row: Mapping[str, Any]) -> Row:
    """A row that arrived with another status than ``ok``, as it goes on."""
    return {**head(row), "status": row["status"], "detail": row["detail"]}


def failed(row: Mapping[str, Any], word: str, detail: str) -> Row:
    """A row that fails in this stage: ``word`` from :mod:`frontalbench.status`, ``detail`` on one line."""
    return {**head(row), "status": word, "detail": " ".join(detail.split())[:300]}


IMAGES = tables.image_schema([*HEAD, "status", "detail", "image"])
"""The columns that every table of images (images, frontals, variants, crops) has."""


def run_shard(
    images: str | os.PathLike[str],
    out: str | os.PathLike[str],
    schema: pa.Schema,
    record: Mapping[str, Any],
    make: Callable[[], Model],
    work: Callable[[Model, list[Row]], list[Row]],
    *,
    batch: int = 32,
    columns: pa.Schema = IMAGES,
) -> dict[str, int]:
    """The frame of a model stage: read a shard in batches, let ``work`` turn rows into rows, write them. Returns rows by status.

    ``make`` builds the model; when it raises WeightsMissing the shard is still written, every row that was ``ok`` with status
    ``weights_missing`` (or what else the error calls it) and the one line that says what to do. A value that ``work`` leaves to a helper (a
    ``Future``, see :mod:`frontalbench.stages.overlap`) is waited for when the next batch is done.
    """
    began = time.perf_counter()
    missing, word, model = "", "", None
    try:
        model = make()
    except WeightsMissing as error:
        missing, word = str(error), error.word
    loaded = time.perf_counter()
    # Now, when the model's libraries are imported.
    record = {**record, "software": environment.union([environment.of_record(record), environment.software()])}
    with tables.Writer(out, schema, record) as writer:
        if model is None:
            for rows in tables.iterate(images, columns):
                writer.add(failed(r, word, missing) if r["status"] == status.OK else passed_through(r) for r in rows)
            return writer.counts
        drawn: list[Row] = []
        for rows in tables.iterate(images, columns, batch=batch):
            before, drawn = drawn, work(model, rows)
            writer.add(overlap.finished(before))
        writer.add(overlap.finished(drawn))
        writer.note_run({"load_seconds": loaded - began, "work_seconds": time.perf_counter() - loaded, **_peaks()})
    return writer.counts


def _peaks() -> Row:
    """Peak memory of this process in MB, and of its GPU where torch used one (ONNX Runtime's memory is not seen); the GPU's name."""
    found: Row = {"host_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "gpu_mb": None, "gpu": ""}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
        found |= {"gpu_mb": torch.cuda.max_memory_allocated() / 2**20, "gpu": torch.cuda.get_device_name()}
    return found


def each_image(
    rows: Sequence[Row],
    run: Callable[[list[int], list[RGB]], Sequence[Row]],
    *,
    skip: Mapping[int, Row] | None = None,
    pool: Executor | None = None,
) -> list[Row]:
    """Decode the ``ok`` rows (on ``pool``, where there is one), hand them to ``run`` as (their places in ``rows``, images), and put what comes
    back in place.

    Rows of another status pass through, rows in ``skip`` are taken as given, images that cannot be decoded become ``unreadable``.
    """
    out: dict[int, Row] = dict(skip or {})
    places: list[int] = []
    decoded: list[RGB] = []
    wanted = {i: row["image"] for i, row in enumerate(rows) if i not in out and row["status"] == status.OK}
    submitted = {i: pool.submit(images.decode, data) for i, data in wanted.items()} if pool is not None else {}
    for i, row in enumerate(rows):
        if i in out:
            continue
        if row["status"] != status.OK:
            out[i] = passed_through(row)
            continue
        try:
            decoded.append(submitted[i].result() if i in submitted else images.decode(row["image"]))
            places.append(i)
        except Unreadable as error:
            out[i] = failed(row, status.UNREADABLE, str(error))
    if places:
        out.update(zip(places, run(places, decoded), strict=True))
    return [out[i] for i in range(len(rows))]
