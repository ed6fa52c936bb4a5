"""The tddfa frontalizer of Frontalbench itself, played as a stranger: in an environment without torch, behind the same files as everybody
else.

This adapter alone imports frontalbench, because here that is the foreign system; of our environment it sees nothing else.
"""

import json
import os
import sys
from pathlib import Path

job = Path(sys.argv[1])
manifest = json.loads((job / "in" / "manifest.json").read_text(encoding="utf-8"))
# The package alone, not what is installed beside it.
(job / "foreign").mkdir(exist_ok=True)
if not (job / "foreign" / "frontalbench").is_symlink():
    os.symlink(manifest["package"], job / "foreign" / "frontalbench")
sys.path.insert(0, str(job / "foreign"))

import cv2
import numpy as np

from frontalbench.detect.select import Face
from frontalbench.frontalize.base import View
from frontalbench.frontalize.tddfa import TddfaFrontalizer
from frontalbench.landmarks import face_landmarker, tddfa

plain = [cv2.IMWRITE_PNG_COMPRESSION, 0, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
cv2.setNumThreads(manifest["threads"])
weights = {key: Path(path) for key, path in manifest["weights"].items()}
network, basis, statistics = (weights[f"tddfa_mb1.{key}"] for key in ("model", "basis", "statistics"))
fitter = tddfa.DenseFitter("tddfa_mb1", network, basis, statistics, threads=manifest["threads"])
bundle = weights["face_landmarker.model"]
canonical = face_landmarker.parse_geometry(face_landmarker.read_bundle(bundle)[1], bundle)
model = TddfaFrontalizer("tddfa", fitter, canonical, manifest["cards"]["tddfa"]["params"])

with (job / "out" / "status.jsonl").open("a", encoding="utf-8") as said:
    for asked in manifest["pictures"]:
        image = cv2.cvtColor(cv2.imread(str(job / asked["file"])), cv2.COLOR_BGR2RGB)
        found = asked["face"]
        face = Face(np.array(found["box"], np.float32), found["score"], np.array(found["points"], np.float32), found["n_faces"])
        pose = asked["pose"]
        outcome = model.frontalize([View(image, face)], (pose["yaw"], pose["pitch"], pose["roll"]))[0]
        line = {"name": asked["name"], "seconds": outcome.seconds}
        if outcome.image is None:
            line |= {"reason": outcome.detail, "status": outcome.status}
        else:
            image = cv2.cvtColor(outcome.image, cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(job / "out" / f"{asked['name']}.png"), image, plain)
            line["ok"] = True
        said.write(json.dumps(line) + "\n")
        said.flush()
