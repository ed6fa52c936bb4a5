"""What frontalizers and enhancements cost, and the comparison of frontalizers that people ask for: speed, quality, installation, GPU, notes.

Times differ from run to run, so these tables are no master tables: they lie in ``results/cost/RUN``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from frontalbench import status, tables
from frontalbench.catalogue import cards, families
from frontalbench.catalogue.cards import ModelCard
from frontalbench.detect.yaw_alignment import KEY
from frontalbench.files import atomic
from frontalbench.plan.variant import parse
from frontalbench.tabulate.columns import INT, REAL, TEXT, Column
from frontalbench.tabulate.facts import LEVELS
from frontalbench.tabulate.write import csv_text, markdown, number, signed, tidy
from frontalbench.types import Float
from frontalbench.weights import store

Row = dict[str, Any]

COST: dict[str, Column] = {
    "dataset": (TEXT, "dataset card"),
    "variant": (TEXT, "`<frontalizer>.none`: the frontalizer's own cost; `<frontalizer>.<enhancement>`: what the enhancement adds"),
    "step": (TEXT, "the card (or chain) whose time this is"),
    "device": (TEXT, "cpu, or the GPU's name"),
    "threads": (INT, "CPU threads of a job"),
    "n_images": (INT, "images that came out"),
    "images_per_second": (REAL, "of one job: images / sum of their seconds, loading left out"),
    "seconds_median": (REAL, "seconds per image in the model itself, loading left out"),
    "seconds_p95": (REAL, "95th percentile"),
    "find_seconds": (REAL, "seconds per image that finding the face in the photograph took, for frontalizers that need one"),
    "align_seconds": (
        REAL,
        "seconds per image that detector and pose took on the new image, for frontalizers whose card asks for an alignment of its own",
    ),
    "total_seconds": (REAL, "seconds_median + find_seconds + align_seconds; empty where one that is needed was not measured"),
    "load_seconds": (REAL, "loading the model, median over the jobs"),
    "host_mb": (REAL, "largest peak memory of a job, MB"),
    "gpu_mb": (REAL, "largest peak GPU memory of torch in a job, MB; where it is empty, `gpu` says why"),
    "gpu": (TEXT, "`no GPU`: the jobs ran on the CPU; else what gpu_mb counts, or why it is empty"),
    "weights_mb": (REAL, "weight files of the card and the cards it uses, MB"),
    "n_weights": (INT, "their number"),
    "parameters": (
        INT,
        "numbers in those files that are ONNX, safetensors or PyTorch; empty where a file is of another kind or not at hand",
    ),
    "install": (TEXT, "what it takes beside `make run`"),
}
COMPARISON: dict[str, Column] = {
    "dataset": (TEXT, "dataset card"),
    "frontalizer": (TEXT, "frontalizer card"),
    "title": (TEXT, "what it is"),
    **{key: COST[key] for key in ("total_seconds", "seconds_median", "find_seconds", "align_seconds")},
    "images_per_second": COST["images_per_second"],
    "device": COST["device"],
    "host_mb": COST["host_mb"],
    "gpu_mb": COST["gpu_mb"],
    "gpu": COST["gpu"],
    "identity_gain_low": (REAL, "lowest mean identity gain of the plain frontal among the judges (leaks left out)"),
    "identity_gain_high": (REAL, "highest"),
    "n_judges": (INT, "detector + backbone pairs behind the two"),
    "ssim_face": (REAL, "mean SSIM against the reference inside the face mask"),
    "pose_error": (REAL, "mean angle to the frontal pose, degrees"),
    "fta_rate": (REAL, "highest share of frontals that gave no embedding, among the judges"),
    "weights_mb": COST["weights_mb"],
    "parameters": COST["parameters"],
    "install": COST["install"],
    "licence": (TEXT, "of the code; of the weights"),
    "verified": (TEXT, "verification level of the card"),
    "notes": (TEXT, "what the card says"),
}
TABLES = {"cost": COST, "comparison": COMPARISON}


ELSEWHERE = "made elsewhere: the images came as files"
"""Instead of what it takes to run a card of family ``made_elsewhere``: nobody here measured that."""


@dataclass(frozen=True)
class Made:
    """Images tables of one variant, with the benchmark files of their jobs where they are known.

    ``faces``: crops tables of the photographs by the detector that finds faces for frontalizers; ``aligned``: those of the variant by every detector.
    """

    dataset: str
    variant: str
    shards: Sequence[Path]
    benchmarks: Sequence[Path] = ()
    faces: Sequence[Path] = ()
    aligned: Sequence[Path] = ()


def cost_row(made: Made) -> Row:
    """One row of ``cost``. Numbers that nothing measured stay None."""
    of = parse(made.variant)
    used = [cards.find("frontalizer", of.frontalizer)] if of.is_plain else [cards.find("enhancement", step) for step in of.steps]
    seconds = np.concatenate([_seconds(path) for path in made.shards])
    records = [tables.provenance(path) for path in made.shards]
    runs = [_with_earlier(run, record) for run, record in zip(map(tables.run_record, made.shards), records, strict=True) if run]
    wanted = store.requirements(used)
    middle = float(np.median(seconds)) if len(seconds) else None
    peaks = [run["host_mb"] for run in runs] + [peak for path in made.benchmarks for peak in _benchmark_peak(path)]
    return {
        "dataset": made.dataset,
        "variant": made.variant,
        "step": of.frontalizer if of.is_plain else of.enhancement,
        **_gpu(runs, records),
        "threads": max((int(record.get("threads") or 0) for record in records), default=0) or None,
        "n_images": sum(map(_came_out, made.shards)),
        "images_per_second": len(seconds) / seconds.sum() if seconds.sum() > 0 else None,
        "seconds_median": middle,
        "seconds_p95": float(np.quantile(seconds, 0.95)) if len(seconds) else None,
        **_around(made, used[0] if of.is_plain else None, middle),
        "load_seconds": float(np.median([run["load_seconds"] for run in runs])) if runs else None,
        "host_mb": max(peaks, default=None),
        "weights_mb": sum(need.weight.bytes or 0 for need in wanted) / 1e6,
        "n_weights": len(wanted),
        "parameters": parameters(used),
        "install": install(used),
        **(_NOT_HERE if install(used) == ELSEWHERE else {}),
    }


def _with_earlier(run: Row, record: Row) -> Row:
    """What making a shard cost, its earlier jobs included (a shorter chain, a network that several enhancements share)."""
    parts = [run, *(earlier for earlier in record.get("earlier_steps", []) if earlier)]
    most = {key: max((part[key] for part in parts if part.get(key) is not None), default=None) for key in ("host_mb", "gpu_mb")}
    loading = sum(part["load_seconds"] for part in parts)
    return {**run, **most, "load_seconds": loading, "gpu": next((part["gpu"] for part in parts if part.get("gpu")), "")}


_NOT_HERE: Row = {"device": "elsewhere", "gpu_mb": None, "gpu": "not measured", "threads": None, "load_seconds": None, "host_mb": None}


def _around(made: Made, frontalizer: ModelCard | None, own: float | None) -> Row:
    """``find_seconds``, ``align_seconds`` and ``total_seconds``: what a method needs besides its own model."""
    finds = frontalizer is not None and needs_face(frontalizer)
    aligns = frontalizer is not None and KEY in frontalizer.params
    find = _seconds_of_jobs(made.faces) if finds else None
    align = _seconds_of_jobs(made.aligned) if aligns else None
    whole = own is not None and (find is not None or not finds) and (align is not None or not aligns)
    return {"find_seconds": find, "align_seconds": align, "total_seconds": (own or 0.0) + (find or 0.0) + (align or 0.0) if whole else None}


def _seconds_of_jobs(shards: Sequence[Path]) -> float | None:
    """Seconds per image of the jobs that wrote these tables, loading left out; None where nothing was noted."""
    work, images = 0.0, 0
    for path in shards:
        run = tables.run_record(path)
        if run:
            work += run["work_seconds"]
            images += sum(word in _WORKED_ON for word in tables.read(path, columns=["status"]).column("status").to_pylist())
    return work / images if images else None


_WORKED_ON = frozenset({status.OK, status.NO_FACE})
"""Statuses of images that a detector looked at."""


def needs_face(card: ModelCard) -> bool:
    """Whether the frontalizer of a card wants the face found in the photograph: its contract, else what a class of its family says; told without its
    weights."""
    if card.contract is not None:
        return card.contract.face
    module = importlib.import_module(families.target(card.kind, card.family)[0])
    flags = [getattr(value, "needs_face", None) for value in vars(module).values() if isinstance(value, type)]
    return any(flag is True for flag in flags)


def _gpu(runs: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> Row:
    """``device``, ``gpu_mb`` and ``gpu`` of jobs with these run and provenance records."""
    names = sorted({run["gpu"] for run in runs if run["gpu"]})
    if names:
        peak = max(run["gpu_mb"] for run in runs if run["gpu_mb"])
        return {"device": ", ".join(names), "gpu_mb": peak, "gpu": "peak of torch; ONNX Runtime's memory is not in it"}
    providers = sorted({str(record.get("provider") or "") for record in records} - {"", "cpu"})
    if providers:
        return {"device": ", ".join(providers), "gpu_mb": None, "gpu": "ONNX Runtime ran on a GPU; its memory cannot be seen from here"}
    return {"device": "cpu", "gpu_mb": None, "gpu": "no GPU"}


def _seconds(path: Path) -> Float:
    table = tables.read(path, tables.FRONTALS, ["status", "seconds"])
    ok = np.array([word == status.OK for word in table.column("status").to_pylist()], np.bool_)
    values: Float = table.column("seconds").to_numpy().astype(np.float64)[ok]
    return values[np.isfinite(values)]


def _came_out(path: Path) -> int:
    return int(sum(word == status.OK for word in tables.read(path, columns=["status"]).column("status").to_pylist()))


def _benchmark_peak(path: Path) -> list[float]:
    """``max_rss`` of a Snakemake benchmark file, MB; empty when there is no such file or it holds none (too short a job)."""
    if not path.is_file():
        return []
    header, *lines = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    values = [dict(zip(header, line, strict=False)).get("max_rss", "") for line in lines]
    return [float(value) for value in values if value.replace(".", "", 1).isdigit()]


def parameters(used: Iterable[ModelCard]) -> int | None:
    """How many numbers the weight files of these cards hold; None when one of them is not at hand or of a kind that cannot be counted."""
    total = 0
    for need in store.requirements(used):
        path = store.stored_path(need.weight)
        counted = None if path is None or not path.is_file() else count_parameters(path)
        if counted is None:
            return None
        total += counted
    return total


def count_parameters(path: Path) -> int | None:
    """Numbers in a weight file (ONNX initializers and constants, safetensors, PyTorch state dictionaries); None for another kind of file."""
    if path.suffix == ".onnx":
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(str(path)).graph
        constants = [a.t for node in graph.node if node.op_type == "Constant" for a in node.attribute if a.name == "value"]
        tensors = [*graph.initializer, *constants]
        return int(sum(numpy_helper.to_array(t).size for t in tensors if t.data_type in _REAL))
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(str(path), framework="np") as file:
            return sum(int(np.prod(file.get_slice(key).get_shape())) for key in file.keys())  # noqa: SIM118 - not a dictionary
    if path.suffix == ".pth":
        from frontalbench.networks import checkpoints

        return checkpoints.count(path)
    return None


_REAL = (1, 10, 11, 16)
"""ONNX data types float32, float16, float64, bfloat16."""


def install(used: Sequence[ModelCard]) -> str:
    """What it takes to run these cards on a fresh machine, in words."""
    wanted = store.requirements(used)
    by_hand = [need.weight.file for need in wanted if not need.weight.sources]
    if any(card.family == "made_elsewhere" for card in used):
        return ELSEWHERE
    if not wanted:
        return "nothing: no weights"
    size = sum(need.weight.bytes or 0 for need in wanted) / 1e6
    text = f"{len(wanted)} weight {'file' if len(wanted) == 1 else 'files'} ({size:.0f} MB), fetched by the run"
    return f"{text}; by hand: {', '.join(by_hand)}" if by_hand else text


def environment() -> Row:
    """``packages`` and ``mb`` of the Python environment that this runs in: what `make run` installs, the same for every card."""
    found = list(importlib.metadata.distributions())
    return {"packages": len(found), "mb": sum(file.size or 0 for one in found for file in one.files or []) / 1e6}


def comparison_rows(costs: Sequence[Row], gains: Sequence[Mapping[str, Any]], quality: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows of ``comparison``, one per dataset and frontalizer: from the cost rows, ``table1_net_gain`` and ``quality``."""
    out = []
    for cost in (row for row in costs if row["variant"].endswith(".none")):
        same = {"dataset": cost["dataset"], "variant": cost["variant"]}
        judged = [r for r in gains if _is(r, same) and not r["leak"] and r["identity_gain"] is not None]
        seen = {r["measure"]: r["mean"] for r in quality if _is(r, same) and r["role"] == "probe"}
        card = cards.find("frontalizer", cost["step"])
        licence = card.data["licence"]
        out.append(
            {
                "dataset": cost["dataset"],
                "frontalizer": card.name,
                "title": card.title,
                **{key: cost[key] for key in ("total_seconds", "seconds_median", "find_seconds", "align_seconds")},
                **{key: cost[key] for key in ("images_per_second", "device", "host_mb", "gpu_mb", "gpu")},
                "identity_gain_low": min((r["identity_gain"] for r in judged), default=None),
                "identity_gain_high": max((r["identity_gain"] for r in judged), default=None),
                "n_judges": len(judged),
                "ssim_face": seen.get("ssim_face"),
                "pose_error": seen.get("pose_error"),
                "fta_rate": max((r["fta_rate_frontal"] for r in judged), default=None),
                **{key: cost[key] for key in ("weights_mb", "parameters", "install")},
                "licence": f"{licence['code']}; {licence['weights']}",
                "verified": card.data.get("verified", {}).get("level", LEVELS[0]),
                "notes": " ".join(str(card.data.get("notes", "")).split()),
            }
        )
    return out


def _is(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(row[key] == value for key, value in wanted.items())


def write(folder: str | os.PathLike[str], costs: Sequence[Row], compared: Sequence[Row]) -> list[Path]:
    """Both tables as .parquet and .csv, the comparison also as .md; returns the files."""
    paths = []
    for (name, columns), rows in zip(TABLES.items(), (costs, compared), strict=True):
        made = {key: pa.array([tidy(row.get(key), kind.arrow) for row in rows], kind.arrow) for key, (kind, _) in columns.items()}
        table = pa.table(made, schema=schema(name))
        tables.write(Path(folder, f"{name}.parquet"), table)
        atomic.write_text(Path(folder, f"{name}.csv"), csv_text(list(columns), [list(row.values()) for row in table.to_pylist()]))
        paths += [Path(folder, f"{name}.{end}") for end in ("parquet", "csv")]
    atomic.write_text(Path(folder, "comparison.md"), comparison_markdown(compared, environment()))
    return [*paths, Path(folder, "comparison.md")]


def read(folder: str | os.PathLike[str]) -> dict[str, list[Row]]:
    """The tables that :func:`write` wrote, by name. Raises :class:`~frontalbench.errors.BadInput` when one is missing or broken."""
    return {name: tables.read(Path(folder, f"{name}.parquet"), schema(name)).to_pylist() for name in TABLES}


def schema(name: str) -> pa.Schema:
    """Arrow schema of a table of :data:`TABLES`."""
    return pa.schema([(key, kind.arrow) for key, (kind, _) in TABLES[name].items()])


def _speed(row: Row) -> str:
    """Seconds per image, and what of them is not the model's."""
    if row["total_seconds"] is None:
        return f"{number(row['seconds_median'])} s per image in the model on {row['device']}; finding faces was not measured"
    parts = [f"{number(row['seconds_median'])} in the model"]
    parts += [f"{number(row['find_seconds'])} finding the face"] if row["find_seconds"] is not None else []
    parts += [f"{number(row['align_seconds'])} detector and pose on the new image"] if row["align_seconds"] is not None else []
    return f"{number(row['total_seconds'])} s per image on {row['device']} ({', '.join(parts)})"


def comparison_markdown(rows: Sequence[Row], installed: Row) -> str:
    """The comparison for people."""
    header = ["Frontalizer", "Dataset", "Speed", "Quality", "Installation", "GPU", "Licence", "Verified", "Notes"]
    body = []
    for row in rows:
        gain = f"{signed(row['identity_gain_low'])} to {signed(row['identity_gain_high'])}" if row["n_judges"] else "not judged"
        alike = f"; SSIM face {number(row['ssim_face'])}" if row["ssim_face"] is not None else ""
        turned = f"; turned by {number(row['pose_error'], 1)}°" if row["pose_error"] is not None else ""
        silent = "not measured (made elsewhere)" if row["install"] == ELSEWHERE else "no image came out"
        speed = silent if row["seconds_median"] is None else _speed(row)
        memory = row["gpu"] if row["gpu_mb"] is None else f"{row['gpu_mb']:.0f} MB"
        fta = "" if row["fta_rate"] is None else f"; FTA {100 * row['fta_rate']:.1f} %"
        body.append(
            [
                f"{row['frontalizer']}: {row['title']}",
                row["dataset"],
                speed,
                f"identity gain {gain}{alike}{turned}{fta}",
                row["install"],
                memory,
                row["licence"],
                row["verified"],
                row["notes"],
            ]
        )
    words = (
        "# Frontalizers compared\n\nSpeed: seconds per image on the machine that ran this, loading left out: median of the model itself, and the "
        "mean of finding the face, and of detector and pose on the new image, where the method needs them. "
        "Identity gain: lowest to highest mean among the judges (0 is as good as the photograph).\n"
        f"The Python environment that all of them share: {installed['packages']} packages, {installed['mb'] / 1000:.1f} GB, by `make run`.\n\n"
    )
    return words + markdown(header, body)
