"""molesq (moving least squares, Schaefer et al. 2006): warps the photograph in the plane so that its five points lie as in a face from the
front.

A warp in the plane shows no side of a head that the photograph does not show. It is here to prove that a stranger's package works.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from molesq import ImageTransformer
from PIL import Image

job = Path(sys.argv[1])
manifest = json.loads((job / "in" / "manifest.json").read_text(encoding="utf-8"))
side = manifest["options"]["side"]
# Where eyes, nose tip and corners of the mouth lie in a face from the front, as parts of the image's side; symmetric.
FRONTAL = [[0.36, 0.42], [0.64, 0.42], [0.5, 0.56], [0.385, 0.7], [0.615, 0.7]]


def warped(channel, points):
    """One colour (H, W) of an image, warped so that its five points (x, y) lie in their places -> uint8 (side, side)."""
    to = np.array(FRONTAL) * side
    transformer = ImageTransformer(channel, np.array(points)[:, ::-1], to[:, ::-1], interp_order=1, extrap_mode="nearest")
    return np.clip(np.rint(transformer.deform_arbitrary([0, 0], [side, side])), 0, 255).astype(np.uint8)


with (job / "out" / "status.jsonl").open("a", encoding="utf-8") as said:
    for asked in manifest["pictures"]:
        started = time.perf_counter()
        line = {"name": asked["name"]}
        try:
            image = np.asarray(Image.open(job / asked["file"]).convert("RGB"), dtype=np.float64)
            planes = [warped(image[..., colour], asked["face"]["points"]) for colour in range(3)]
            Image.fromarray(np.stack(planes, axis=2)).save(job / "out" / (asked["name"] + ".png"))
            line["ok"] = True
        except Exception as error:  # one bad image must not cost the others
            line["reason"] = "{}: {}".format(type(error).__name__, error)
        line["seconds"] = time.perf_counter() - started
        said.write(json.dumps(line) + "\n")
        said.flush()
