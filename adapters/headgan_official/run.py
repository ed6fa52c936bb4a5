"""HeadGAN: the photograph's own 3-D face drawn in the camera rotation of a still face from the front; size and place stay the photograph's.
The released model hears its driver, so that gets a silent sound track. A failed step of the script ends with exit code 0 and a printed
line."""

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

for name, place in (("files", repository), ("checkpoints", repository), ("insightface", Path.home())):
    link = place / ("." + name if name == "insightface" else name)
    if not link.exists():
        os.symlink(str(assets / name), str(link))
driver = job / "driver" / "with_sound.mp4"


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
    if not driver.exists():
        silent = [
            "ffmpeg",
            "-y",
            "-i",
            str(job / manifest["driver"]["clips"]["still"]["file"]),
            "-f",
            "lavfi",
            "-i",
            "anullsrc=r=16000:cl=mono",
        ]
        subprocess.run(silent + ["-shortest", "-c:v", "copy", "-c:a", "aac", str(driver)], check=True)
    words = ["--reference_path", job / asked["file"], "--driving_path", driver, "--gpu_id", 0, "--gpu_ids", 0]
    last = call("reenact.py", *words, "--results_dir", job / "work", PYTHONPATH=str(assets / "resample"))
    frames = job / "work" / "headGAN" / "latest" / "reenact" / "with_sound_{}".format(asked["name"]) / "generated"
    if not frames.is_dir():
        raise RuntimeError(last)
    shutil.move(str(frames), str(out / asked["name"]))


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
