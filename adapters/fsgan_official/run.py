"""FSGAN (official scripts): a still face from the front is the target clip, the photograph the source. The face is drawn with the target's
landmarks and pasted into the target's image, so shape of the face, hair and background are the driver's; the card cuts around the face.
"""

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

# The package is called fsgan and imports itself under that name.
(job / "python").mkdir(exist_ok=True)
if not (job / "python" / "fsgan").exists():
    os.symlink(str(repository), str(job / "python" / "fsgan"))


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
    from PIL import Image  # the scripts re-use the source's ending for JPEG files, so it has to be .jpg

    work = job / "work" / asked["name"]
    work.mkdir(parents=True, exist_ok=True)
    source = work / (asked["name"] + ".jpg")
    Image.open(str(job / asked["file"])).save(str(source), quality=98)
    driver = work / "driver.mp4"
    shutil.copyfile(str(job / manifest["driver"]["clips"]["still"]["file"]), str(driver))
    words = [source, "-t", driver, "-o", work / "driven.mp4", "-b", 1, "-ml", 1, "-ec", "mp4v", "-v", 0]
    words += ["-rm", assets / "nfv_msrunet_256_1_2_reenactment_v2.1.pth", "-dm", assets / "WIDERFace_DSFD_RES152.pth"]
    words += ["-lm", assets / "hr18_wflw_landmarks.pth", "-pm", assets / "hopenet_robust_alpha1.pth"]
    words += ["-sm", assets / "celeba_unet_256_1_2_segmentation_v2.pth"]
    words += ["-ci", "vgg_loss.VGGLoss('{}')".format(assets / "vggface2_vgg19_256_1_2_id.pth")]
    last = call("inference/reenact.py", *words, PYTHONPATH=str(job / "python"))
    if not (work / "driven.mp4").is_file():
        raise RuntimeError("no clip came out: " + last)
    shutil.move(str(work / "driven.mp4"), str(out / (asked["name"] + ".mp4")))


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
