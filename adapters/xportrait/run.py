"""X-Portrait: the photograph driven by a still face from the front, which stands for 16 frames (a single frame gives black); the card takes
the middle one. Driver and photograph are not aligned with each other (best_frame -2)."""

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
    work = job / "work"
    words = ["--model_config", "config/cldm_v15_appearance_pose_local_mm.yaml", "--resume_dir", assets / "model_state-415001.th"]
    words += [
        "--output_dir",
        work,
        "--source_image",
        job / asked["file"],
        "--driving_video",
        job / manifest["driver"]["clips"]["still"]["file"],
    ]
    words += ["--seed", manifest["seed"], "--uc_scale", options["uc_scale"], "--ddim_steps", options["ddim_steps"], "--num_mix", 4]
    words += ["--num_drivings", 16, "--best_frame", -2, "--out_frames", 0]
    last = call("core/test_xportrait.py", *words, PYTHONPATH=str(repository))
    made = sorted(work.glob("inference_*_{}_by_*.mp4".format(asked["name"])))
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
