"""Small tables with known answers for the tests of figures and of the site: drawn people, made-up numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from frontalbench import images, tables
from frontalbench.images import RGB

NAMES = ("anna", "علی رضایی", "$x^2$ & <b>Zoë</b>", "李小龍", "a/../b\nc", "-rf 'quoted\" name")
YAWS = (-80.0, -40.0, 0.0, 0.0, 25.0, 60.0)  # the two zeros are references
JUDGES = (("scrfd_500m", "w600k_mbf"), ("yunet", "sface"))
VARIANTS = ("tddfa.none", "tddfa.sharp")
NET = {"tddfa.none": 0.125, "tddfa.sharp": -0.25}
TURNED = {"original": 1.0, "tddfa.none": 0.5, "tddfa.sharp": 1.5}
"""How far embeddings turn away from the own reference, in parts of the original's angle."""
IMPOSTOR = {"tddfa.none": 0.0625, "tddfa.sharp": 0.0}


def face(tint: int, yaw: float) -> RGB:
    """A round head with eyes that turn: 64 x 64."""
    image = np.full((64, 64, 3), 200, np.uint8)
    cv2.circle(image, (32, 32), 24, (tint, 120, 90), -1)
    for x in (24, 40):
        cv2.circle(image, (round(x - yaw / 12), 28), 3, (20, 20, 20), -1)
    return image


def heads() -> list[dict[str, Any]]:
    """image_id, identity, subject, role, yaw of every image, in ``image_id`` order."""
    rows = [
        {"image_id": f"{number}/{k}", "identity": name, "subject": name, "role": "reference" if yaw == 0 else "probe", "yaw": yaw}
        for number, name in enumerate(NAMES)
        for k, yaw in enumerate(YAWS)
    ]
    return sorted(rows, key=lambda row: str(row["image_id"]))


def genuine(row: dict[str, Any]) -> float:
    """The similarity of an original to its own GT; exact in binary, so that differences are exact too."""
    return 0.75 - (int(row["image_id"][0]) + abs(row["yaw"]) / 8) / 64


def similarity_rows(variant: str) -> list[dict[str, Any]]:
    """Rows of one cell: every gain is the constant of NET and IMPOSTOR; the first probe of `anna` fails in `tddfa.sharp`."""
    rows = []
    for head in heads():
        row = {**head, "status": "ok", "detail": "", "yaw_source": "ground_truth", "rank": 1, "n_references": 2, "n_impostors": 10}
        if variant == "tddfa.sharp" and head["image_id"] == "0/0":
            row.update(status="no_face", detail="no face above 0.5", rank=None)
        elif variant == "original" or head["role"] == "probe":
            row["genuine"] = genuine(head) + NET.get(variant, 0.0)
            row["impostor"] = 0.125 + IMPOSTOR.get(variant, 0.0)
            row["impostor_moves"] = [0.0] * len(NAMES)
            row["within"] = 0.5
            row["to_original"] = None if variant == "original" else 0.875
            if head["image_id"] == "1/1":
                row["rank"] = 4
        else:
            row.update(status="not_used", rank=None)
        rows.append(row)
    return rows


def write_run(root: Path, dataset: str = "toy") -> list[Path]:
    """A whole run of a dataset under ``root``: images, frontals, variants, crops, embeddings, similarity. Returns all files."""
    files = []

    def write(path: str, rows: list[dict[str, Any]], schema: Any) -> None:
        tables.write(root / path, tables.from_rows(rows, schema))
        files.append(root / path)

    def head_of(row: dict[str, Any]) -> dict[str, Any]:
        return {name: row[name] for name in ("image_id", "identity", "role")}

    encoded = {h["image_id"]: images.encode_png(face(40 + 30 * int(h["image_id"][0]), h["yaw"])) for h in heads()}
    rows = [{**h, "status": "ok", "detail": "", "image": encoded[h["image_id"]], "pose_source": "ground_truth"} for h in heads()]
    rows[-1].update(status="unreadable", detail="broken data stream", image=None)
    write(f"images/{dataset}/0000.parquet", rows[:18], tables.IMAGES)
    write(f"images/{dataset}/0001.parquet", rows[18:], tables.IMAGES)
    for variant, folder in (("tddfa.none", f"frontals/{dataset}/tddfa"), ("tddfa.sharp", f"variants/{dataset}/tddfa.sharp")):
        made = []
        for row in rows:
            turned = row["status"] == "ok" and row["role"] == "probe"
            state = row["status"] if row["role"] == "probe" else "not_used"
            made.append(
                {
                    **head_of(row),
                    "status": state,
                    "detail": row["detail"],
                    "image": encoded[row["image_id"]] if turned else None,
                    "seconds": 0.25,
                }
            )
        if variant == "tddfa.none":
            made[1].update(status="model_error", detail="no convergence after 50 steps", image=None)
        write(f"{folder}/0000.parquet", made, tables.FRONTALS)
        crops = [{**head_of(r), "status": r["status"], "detail": r["detail"]} for r in made]
        crops[0].update(status="no_face", detail="no face above 0.5")
        write(f"crops/{dataset}/{variant}/scrfd_500m/0000.parquet", crops, tables.CROPS)
    for variant in ("original", *VARIANTS):
        for detector, backbone in JUDGES:
            state = {row["image_id"]: row for row in similarity_rows(variant)}
            write(f"similarity/{dataset}/{variant}/{detector}/{backbone}.parquet", list(state.values()), tables.SIMILARITY)
            vectors = []
            for h in heads():
                ok = state[h["image_id"]]["status"] == "ok"
                angle = np.radians(12.0 * int(h["image_id"][0]) + TURNED[variant] * abs(h["yaw"]) / 20)
                vector = np.array([np.cos(angle), np.sin(angle)], np.float32)
                vectors.append({**head_of(h), "status": "ok" if ok else "no_face", "detail": "", "embedding": vector if ok else None})
            write(f"embeddings/{dataset}/{variant}/{detector}/{backbone}/0000.parquet", vectors, tables.embeddings_schema(2))
    return files
