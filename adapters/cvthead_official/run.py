"""CVTHead: FLAME coefficients of the photograph with the head's rotation set to zero; shape, expression and jaw stay the photograph's.

The repository's own command sets the jaw to zero as well and writes animated GIFs, so its classes are called here, in this process.
Coefficients for the expression must not be passed: the repository would take them for the shape.
"""

import json
import os
import sys
import time
from pathlib import Path

job = Path(sys.argv[1])
manifest = json.loads((job / "in" / "manifest.json").read_text(encoding="utf-8"))
repository, assets, device = Path(manifest["repository"]), Path(manifest["assets"]), manifest["device"]
for path in sorted((assets / "data").iterdir()):
    if not (repository / "data" / path.name).exists():
        (repository / "data").mkdir(exist_ok=True)
        os.symlink(str(path), str(repository / "data" / path.name))
os.chdir(str(repository))
sys.path.insert(0, str(repository))

import face_alignment
import numpy as np
import torch
from inference import preprocess_image
from models.cvthead import CVTHead
from PIL import Image

model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(CVTHead()).to(device)
model.load_state_dict(torch.load("data/cvthead.pt", map_location="cpu")["model"], strict=False)
model.eval()
points = face_alignment.FaceAlignment(face_alignment.LandmarksType.TWO_D, device=device)


def turn(asked, out):
    image, face, tform = preprocess_image(str(job / asked["file"]), points, device)
    with torch.no_grad():
        pose = model.deca.encode(face, use_detail=False)["pose"].clone()
        pose[:, :3] = 0
        made = model.flame_coef_generation(face, image, tform, shape=None, exp=None, pose=pose)
    drawn, mask = ((0.5 * made["pred_drv_img"][0] + 0.5), made["pred_drv_mask"][0])
    white = (drawn * mask + 1 - mask).permute(1, 2, 0).cpu().numpy()
    Image.fromarray(np.clip(np.rint(white * 255), 0, 255).astype(np.uint8)).save(str(out / (asked["name"] + ".png")))


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
