"""GOAE: EG3D's triplanes of the photograph from two encoders. The script draws three views side by side (yaw 12.5, 0, -12.5 degrees) as one
JPEG of 768 x 256 pixels; the card cuts out the middle one. Crop and camera come from the five points (eg3d_crop.py)."""

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
        face.save(str(data / (asked["name"] + ".jpg")), quality=98)
        labels.append([asked["name"] + ".jpg", label])
    (data / "label.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    words = ["--data", data, "--outdir", job / "work" / "made", "--G_ckpt", assets / "ffhqrebalanced512-128.pkl"]
    words += ["--E_ckpt", assets / "encoder_FFHQ.pt", "--AFA_ckpt", assets / "afa_FFHQ.pt", "--cuda", 0, "--multi_view"]
    call("infer.py", *words, folder=repository / "goae")


def collect(name, out):
    shutil.move(str(job / "work" / "made" / "data" / name / "multi_view.jpg"), str(out / (name + ".jpg")))


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
