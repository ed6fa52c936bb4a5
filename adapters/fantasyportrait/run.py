"""FantasyPortrait: an image-to-video model whose first frame is the photograph, driven by a head that turns to the front from the
photograph's side; the card takes the last frame. Minutes for each image, and the camera may move instead of the head."""

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


def side(points):
    """Which way a face looks: the nose tip is nearer to the eye that is further away."""
    return "left" if points[2][0] < (points[0][0] + points[1][0]) / 2 else "right"


def turn(asked, out):
    work = job / "work" / asked["name"]
    words = ["--portrait_checkpoint", assets / "fantasyportrait_model.ckpt", "--alignment_model_path", assets / "face_landmark.onnx"]
    words += ["--det_model_path", assets / "face_det.onnx", "--pd_fpg_model_path", assets / "pd_fpg.pth"]
    words += ["--wan_model_path", assets / "Wan2.1-I2V-14B-720P", "--output_path", work, "--input_image_path", job / asked["file"]]
    words += ["--driven_video_path", job / manifest["driver"]["clips"][side(asked["face"]["points"])]["file"]]
    words += ["--prompt", options["prompt"], "--num_frames", 33, "--max_size", options["max_size"], "--scale_image", "True"]
    words += ["--cfg_scale", 1.0, "--portrait_scale", 1.0, "--portrait_cfg_scale", 4.0, "--seed", manifest["seed"]]
    last = call("infer.py", *words)
    made = [path for path in sorted(work.glob("*.mp4")) if not path.stem.endswith("_with_audio")]
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
