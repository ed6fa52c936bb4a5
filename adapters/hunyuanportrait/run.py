"""HunyuanPortrait: the photograph driven by a still face from the front; the card takes the middle frame. The rotation that it reads from
the driver is absolute, so the two need not be aligned. The expression is the driver's. The seed stands in the repository's own
configuration."""

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

link = repository / "pretrained_weights"
if not link.exists():
    os.symlink(str(assets / "pretrained_weights"), str(link))


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


def turn(asked, out):
    shutil.rmtree(str(repository / "results"), ignore_errors=True)
    words = ["--video_path", job / manifest["driver"]["clips"]["still"]["file"], "--image_path", job / asked["file"]]
    last = call("inference.py", "--config", "config/hunyuan-portrait.yaml", *words)
    # Some versions write a folder with cropped.mp4 and full_resolution.mp4, others one clip.
    found = sorted(repository.glob("results/**/*.mp4"))
    made = [path for path in found if path.name == "cropped.mp4"] or [path for path in found if path.name != "full_resolution.mp4"]
    if not made:
        raise RuntimeError("no clip came out: " + last)
    shutil.move(str(made[-1]), str(out / (asked["name"] + ".mp4")))


with (job / "out" / "status.jsonl").open("a", encoding="utf-8") as said:
    for asked in manifest["pictures"]:
        started = time.perf_counter()
        line = {"name": asked["name"]}
        try:
            turn(asked, job / "out")
            line["ok"] = True
        except Exception as error:
            line["reason"] = f"{type(error).__name__}: {error}"
        line["seconds"] = time.perf_counter() - started
        said.write(json.dumps(line) + "\n")
        said.flush()
