"""TriPlaneNet v2: EG3D's triplanes of the photograph from one pass of an encoder, drawn from the front (novel view angle 0).

Crop and camera come from the five points (eg3d_crop.py) instead of the face reconstruction of the authors' preprocessing.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from eg3d_crop import crop  # beside this file: EG3D's frame from five points
from PIL import Image

job = Path(sys.argv[1])
manifest = json.loads((job / "in" / "manifest.json").read_text(encoding="utf-8"))
options, repository, assets = manifest["options"], Path(manifest["repository"]), Path(manifest["assets"])


def call(*words, folder=repository, **variables):
    """One command of the system; where it fails, the last line that it printed is the reason."""
    command = [sys.executable] + [str(word) for word in words]
    env = dict(os.environ, **variables)
    done = subprocess.run(command, cwd=str(folder), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    print(done.stdout, flush=True)
    said = [line for line in done.stdout.splitlines() if line.strip()]
    if done.returncode != 0:
        raise RuntimeError(said[-1] if said else f"ended with {done.returncode}")
    return said[-1] if said else "it printed nothing"


def turn_all(images):
    data, labels = job / "work" / "data", []
    data.mkdir(parents=True, exist_ok=True)
    for asked in images:
        face, label = crop(Image.open(str(job / asked["file"])), asked["face"]["points"])
        face.save(str(data / (asked["name"] + ".png")))
        labels.append([asked["name"] + ".png", label])
    (data / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    words = ["--exp_dir", job / "work" / "made", "--checkpoint_path", assets / "triplanenet_v2_final.pth", "--data_path", data]
    call(
        "scripts/inference_v2.py",
        *words,
        "--novel_view_angles",
        0.0,
        "--test_batch_size",
        1,
        "--test_workers",
        0,
        PYTHONPATH=str(repository),
    )


def collect(name, out):
    shutil.move(str(job / "work" / "made" / "inference_results" / (name + "_0.0.png")), str(out / (name + ".png")))


# One start for all images: what came out counts, also where it died half-way. The seconds are the mean.
started, problem = time.perf_counter(), "nothing came out for this image"
try:
    turn_all(manifest["pictures"])
except Exception as error:
    problem = f"{type(error).__name__}: {error}"
each = (time.perf_counter() - started) / len(manifest["pictures"])
with (job / "out" / "status.jsonl").open("a", encoding="utf-8") as said:
    for asked in manifest["pictures"]:
        line = {"name": asked["name"], "seconds": each}
        try:
            collect(asked["name"], job / "out")
            line["ok"] = True
        except FileNotFoundError:
            line["reason"] = problem
        said.write(json.dumps(line) + "\n")
