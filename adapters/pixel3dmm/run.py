"""Pixel3DMM: a FLAME head tracked to the photograph (preprocessing, two networks, optimisation), and then, as it has no texture, the
photograph itself on its vertices, drawn with the head's rotation undone. What the photograph does not show is taken from the other half of
the face; no hair, no background."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import trimesh

job = Path(sys.argv[1])
manifest = json.loads((job / "in" / "manifest.json").read_text(encoding="utf-8"))
options, repository, work = manifest["options"], Path(manifest["repository"]), job / "work"
folders = {"CODE_BASE": repository, "PREPROCESSED_DATA": work / "preprocessed", "TRACKING_OUTPUT": work / "tracked"}
variables = dict(os.environ, **{"PIXEL3DMM_" + key: str(value) for key, value in folders.items()})
# What lies among the assets as it lies in the repository: weights, FLAME, the code of MICA, PIPNet and facer that its installer fetches.
for path in sorted(path for path in Path(manifest["assets"]).rglob("*") if path.is_file()):
    place = repository / path.relative_to(manifest["assets"])
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        os.symlink(str(path), str(place))


def call(*words):
    command = [sys.executable] + [str(word) for word in words]
    done = subprocess.run(
        command, cwd=str(repository), env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
    )
    print(done.stdout, flush=True)
    if done.returncode != 0:
        raise RuntimeError((done.stdout.strip().splitlines() or [f"ended with {done.returncode}"])[-1])


def turn(asked, out):
    name = asked["name"]
    call("scripts/run_preprocessing.py", "--video_or_images_path", job / asked["file"])
    for kind in ("normals", "uv_map"):
        call("scripts/network_inference.py", f"model.prediction_type={kind}", f"video_name={name}")
    call("scripts/track.py", f"video_name={name}", f"iters={options['iters']}")
    tracked = sorted((work / "tracked").glob(name + "_*"))[-1]
    found = torch.load(str(sorted((tracked / "checkpoint").glob("*.frame"))[-1]), map_location="cpu", weights_only=False)
    mesh = trimesh.load(str(sorted(p for p in (tracked / "mesh").glob("*.ply") if "canonical" not in p.name)[-1]), process=False)
    photograph = cv2.resize(cv2.imread(str(sorted((work / "preprocessed" / name / "cropped").glob("*.jpg"))[0])), (512, 512))
    cv2.imwrite(str(out / (name + ".png")), drawn(np.asarray(mesh.vertices), np.asarray(mesh.faces), found, photograph))


def rotation(six):
    """Rotation matrix of its first two rows (Zhou et al. 2019)."""
    first = six[:3] / np.linalg.norm(six[:3])
    second = six[3:] - first * (first @ six[3:])
    second = second / np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)])


def drawn(vertices, faces, found, photograph):
    """The textured head from the front, uint8 (512, 512, 3): triangles from far to near, each in its mean colour."""
    camera, flame = found["camera"], found["flame"]
    focal, centre = float(camera["fl"][0, 0]) * 512, np.asarray(camera["pp"][0]) * 256.5 + 256.5
    world = vertices @ rotation(np.asarray(flame["R"])[0]).T + np.asarray(flame["t"]).reshape(1, 3)
    seen = world @ np.asarray(camera["R_base_0"][0]).T + np.asarray(camera["t_base_0"][0])
    facing = np.cross(seen[faces[:, 1]] - seen[faces[:, 0]], seen[faces[:, 2]] - seen[faces[:, 0]])
    facing = (facing / np.linalg.norm(facing, axis=1, keepdims=True) * -seen[faces].mean(1)).sum(1) / np.linalg.norm(
        seen[faces].mean(1), axis=1
    )
    at = np.stack([focal * seen[:, 0] / -seen[:, 2] + centre[0], centre[1] - focal * seen[:, 1] / -seen[:, 2]], axis=1)
    pixel = np.clip(np.rint(at[faces].mean(1)), 0, 511).astype(int)
    colour = photograph[pixel[:, 1], pixel[:, 0]].astype(float)
    # Head frame: the neck's rotation undone, x to the subject's left. A triangle that looks away takes the colour of its mirror image.
    head = (np.c_[vertices, np.ones(len(vertices))] @ np.linalg.inv(found["joint_transforms"][0, 1]).T)[:, :3]
    middle = head[faces].mean(1)
    for i in np.flatnonzero(facing < options["least_facing"]):
        other = np.argmin(((middle - middle[i] * [-1, 1, 1]) ** 2).sum(1) + 1e3 * (facing < facing[i]))
        colour[i] = colour[other]
    size = 400 / np.ptp(head[:, 1])
    flat = np.stack([256 + size * (head[:, 0] - head[:, 0].mean()), 256 - size * (head[:, 1] - head[:, 1].mean())], axis=1)
    image = np.full((512, 512, 3), 255, np.uint8)
    for i in np.argsort(middle[:, 2]):
        corners = flat[faces[i]]
        if np.linalg.det(corners[1:] - corners[0]) < 0:  # y down: what faces us turns this way
            cv2.fillConvexPoly(image, np.rint(corners * 16).astype(np.int32), colour[i].tolist(), cv2.LINE_AA, 4)
    return image


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
