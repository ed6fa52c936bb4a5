"""EG3D-projector: for each photograph a code of EG3D is optimised, then (pivotal tuning) the generator itself, and the result drawn from
the front.

Minutes for each image. Crop and first camera come from the five points (eg3d_crop.py). The last step draws with the repository's own
modules, in this process: none of its scripts draws the exact front.
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

FRONT = [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 2.7, 0, 0, 0, 1, 4.2647, 0, 0.5, 0, 4.2647, 0.5, 0, 0, 1]
eg3d = repository / "eg3d"
(eg3d / "networks").mkdir(exist_ok=True)
for name in ("ffhq512-128.pkl", "ffhq512-128.pth"):
    if (assets / name).exists() and not (eg3d / "networks" / name).exists():
        os.symlink(str(assets / name), str(eg3d / "networks" / name))
sys.path.insert(0, str(eg3d))


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
    import legacy
    import numpy as np
    import torch

    name, space = asked["name"], options["latent_space"]
    data = eg3d / "projector_test_data"
    shutil.rmtree(str(data), ignore_errors=True)  # pivotal tuning takes all that lies there
    data.mkdir()
    face, label = crop(Image.open(str(job / asked["file"])), asked["face"]["points"])
    face.save(str(data / (name + ".png")))
    np.save(str(data / (name + ".npy")), np.array(label, dtype=np.float32))
    words = [
        "--network",
        eg3d / "networks" / "ffhq512-128.pkl",
        "--outdir",
        "projector_out",
        "--latent_space_type",
        space,
        "--sample_mult",
        2,
    ]
    words += ["--image_path", data / (name + ".png"), "--c_path", data / (name + ".npy"), "--num_steps", options["num_steps"]]
    call("run_projector.py", *words, folder=eg3d)
    code = np.load(str(eg3d / "projector_out" / "{}_{}".format(name, space) / "{}_{}.npy".format(name, space)))
    with open(str(eg3d / "networks" / "ffhq512-128.pkl"), "rb") as file:
        generator = legacy.load_network_pkl(file)["G_ema"].to(manifest["device"])
    if options["tune"]:
        call("run_pti_single_image.py", folder=eg3d / "projector" / "PTI")
        tuned = sorted((eg3d / "projector" / "PTI" / "checkpoints").glob("*_{}_{}.pth".format(name, space)))[-1]
        generator.load_state_dict(torch.load(str(tuned), map_location=manifest["device"])["G_ema"], strict=False)
    latent, camera = (torch.tensor(value, dtype=torch.float32, device=manifest["device"]) for value in (code, [FRONT]))
    if latent.shape[1] == 1:
        latent = latent.repeat(1, generator.backbone.mapping.num_ws, 1)
    with torch.no_grad():
        drawn = generator.synthesis(latent, camera, noise_mode="const")["image"][0]
    pixels = ((drawn.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    Image.fromarray(pixels).save(str(out / (name + ".png")))


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
