"""AniPortrait: the photograph driven by a still face from the front. The script moves the photograph's own mesh by what the driver's mesh
moves (which is nothing) into the driver's pose, so the expression stays. The answer is a grid of three images; the card cuts out the
middle one."""

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

link = repository / "pretrained_model"
if not link.exists():
    os.symlink(str(assets / "pretrained_model"), str(link))
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
    if not driver.exists():  # the script copies the sound of its driver, so there has to be one
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
    config = json.loads((Path(__file__).parent / "animation.json").read_text(encoding="utf-8"))
    config["test_cases"] = {str(job / asked["file"]): [str(driver)]}
    (job / "animation.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML, too
    shutil.rmtree(str(repository / "output"), ignore_errors=True)
    numbers = ["--seed", manifest["seed"], "--cfg", options["cfg"], "--steps", options["steps"]]
    last = call("-m", "scripts.vid2vid", "--config", job / "animation.yaml", "-W", 512, "-H", 512, "-L", 16, *numbers)
    made = [path for path in sorted(repository.glob("output/*/*/*.mp4")) if not path.name.endswith("_noaudio.mp4")]
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
