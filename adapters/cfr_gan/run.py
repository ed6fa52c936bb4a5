"""CFR-GAN and then CodeFormer, the frontalizer of arXiv 2512.03199: a 3-D face turned, its holes filled by CFR-GAN at 224 pixels, and the
result restored.

CodeFormer is a repository of its own: it lies among the assets, and its commit is checked here. CFR-GAN's script turns to a pitch of 5
degrees.
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

restorer = assets / "CodeFormer"
commit = subprocess.run(["git", "-C", str(restorer), "rev-parse", "HEAD"], stdout=subprocess.PIPE, universal_newlines=True).stdout.strip()
if commit != options["codeformer_commit"]:
    sys.exit("CodeFormer is at commit {}, the card says {}".format(commit or "(none)", options["codeformer_commit"]))
for name in ("saved_models", "mmRegressor/BFM"):
    link = repository / name
    if not link.exists():
        os.symlink(str(assets / Path(name).name), str(link))


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
    given, turned = job / "work" / "given", job / "work" / "turned"
    for folder in (given, turned):
        folder.mkdir(parents=True, exist_ok=True)
    for asked in images:  # a wider frame (0.34 instead of 0.43 of the side) than EG3D's: the 224 pixels of Deep3DFaceReconstruction
        face, _ = crop(Image.open(str(job / asked["file"])), asked["face"]["points"], side=224, unit=102.0)
        face.save(str(given / (asked["name"] + ".jpg")), quality=98)
    words = ["--img_path", given, "--save_path", turned, "--batch_size", 1, "--cuda_id", 0]
    words += ["--generator_path", "saved_models/CFRNet_G_ep55_vgg.pth", "--estimator_path", "saved_models/trained_weights_occ_3d.pth"]
    call("inference.py", *words)
    words = ["-i", turned, "-o", job / "work" / "restored", "-w", options["fidelity"], "-s", 2, "--only_center_face"]
    call("inference_codeformer.py", *words, folder=restorer)


def collect(name, out):
    shutil.move(str(job / "work" / "restored" / "final_results" / (name + ".png")), str(out / (name + ".png")))


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
