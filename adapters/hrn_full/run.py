"""HRN (full): a hierarchical face reconstruction with a fitted texture. The demo draws it while it swings from -30 to 30 degrees of yaw, as
a GIF of five squares side by side; the card takes the middle frame and cuts out the last square. Its pitch is 5 degrees, its yaw within one
degree of 0."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

job = Path(sys.argv[1])
manifest = json.loads((job / "in" / "manifest.json").read_text(encoding="utf-8"))
options, repository, assets = manifest["options"], Path(manifest["repository"]), Path(manifest["assets"])

for name in ("pretrained_models", "3dmm_assets"):
    link = repository / "assets" / name
    if not link.exists():
        (repository / "assets").mkdir(exist_ok=True)
        os.symlink(str(assets / name), str(link))


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
    given = job / "work" / "given"
    given.mkdir(parents=True, exist_ok=True)
    for asked in images:
        shutil.copyfile(str(job / asked["file"]), str(given / (asked["name"] + ".png")))
    words = ["--input_type", "single_view", "--input_root", given, "--output_root", job / "work" / "made"]
    words += ["--checkpoints_dir", "assets/pretrained_models", "--name", "hrn_v1.1", "--epoch", 10]
    call("demo.py", *words)


def collect(name, out):
    shutil.move(str(job / "work" / "made" / name / (name + "_0_hrn_output.gif")), str(out / (name + ".gif")))


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
