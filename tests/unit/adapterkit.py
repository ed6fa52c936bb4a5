"""Stand-ins for the repositories of foreign systems: git repositories whose programs know exactly the official flags, and fail as they are told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from frontalbench.catalogue import cards, external
from frontalbench.catalogue.cards import ModelCard
from frontalbench.weights import foreign

ROOT = Path(__file__).resolve().parents[2]
ADAPTERS = ROOT / "adapters"
FILES = {".ckpt", ".mat", ".npy", ".onnx", ".pb", ".pkl", ".pt", ".pth", ".safetensors", ".tar", ".th"}
"""Endings of assets that are files; the others are folders."""
BAD = "000001"
"""The image that a stand-in fails on."""


def command_line(name: str) -> dict[str, Any]:
    """What the official command line of an adapter's system knows."""
    return dict(yaml.safe_load((ADAPTERS / name / external.SPOKEN).read_text(encoding="utf-8")))


PRELUDE = """
import argparse, json, os, sys, time
from pathlib import Path
sys.path.insert(0, {fakes!r})
MODE, BAD, MADE = {mode!r}, {bad!r}, Path({fakes!r})

def read(spec):
    if spec.get("keys"):
        given = dict(word.split("=", 1) for word in sys.argv[1:])
        unknown = sorted(set(given) - set(spec["keys"]))
        if unknown:
            sys.exit("unknown keys: " + ", ".join(unknown))
        return given
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in spec.get("positional", ()):
        parser.add_argument(name, nargs="+")
    kinds = {{"int": int, "float": float, "floats": float}}
    for names, how in spec["flags"].items():
        if how.get("switch"):
            parser.add_argument(*names.split(), action="store_false" if how["default"] else "store_true")
        else:
            more = {{"nargs": "*"}} if how.get("type") == "floats" else {{}}
            more["required"] = bool(how.get("required"))
            parser.add_argument(*names.split(), default=how["default"], type=kinds.get(how.get("type"), str), **more)
    return vars(parser.parse_args())

def trouble(stem):
    "Fail on the bad image as the mode says; True where nothing is to be written for it."
    if stem != BAD or MODE in ("ok", "short", "size"):
        return False
    if MODE == "crash":
        print("Traceback (most recent call last):"); print("RuntimeError: it broke"); sys.stdout.flush(); sys.exit(1)
    if MODE == "oom":
        print("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB"); sys.stdout.flush(); sys.exit(1)
    if MODE == "hang":
        time.sleep(600)
    if MODE == "partial":
        print("Face detection failed. Exit")
        return True
    raise AssertionError(MODE)

def image(path, width, height, stem):
    import cv2, numpy as np
    if MODE == "size" and stem == BAD:
        width, height = width // 2, height // 2
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 128, np.uint8))

def clip(path, count, width, height, stem):
    import cv2, numpy as np
    count = 3 if MODE == "short" and stem == BAD else count
    if MODE == "size" and stem == BAD:
        width, height = width // 2, height // 2
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if str(path).endswith(".gif"):
        from PIL import Image
        shades = [Image.new("RGB", (width, height), (8 * i % 255, 128, 128)) for i in range(count)]
        shades[0].save(str(path), append_images=shades[1:], save_all=True, duration=40)
        return
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 16, (width, height))
    for i in range(count):
        writer.write(np.full((height, width, 3), 5 * i, np.uint8))
    writer.release()
"""

# What each program leaves where the official one leaves it. `said`: its options by their long names.
PROGRAMS: dict[str, dict[str, str]] = {
    "aniportrait": {
        "scripts/vid2vid.py": """
config = json.loads(Path(said["config"]).read_text())
assert Path(config["denoising_unet_path"]).is_file() and Path(config["pretrained_vae_path"]).is_dir()
for photo, drivers in config["test_cases"].items():
    stem = Path(photo).stem
    assert (said["W"], said["H"], said["L"]) == (512, 512, 16) and Path(drivers[0]).is_file()
    if not trouble(stem):
        clip(f"output/20261128/1200--seed_{said['seed']}-512x512/{stem}_with_sound_512x512_3_1200.mp4", 16, 1544, 516, stem)
"""
    },
    "xportrait": {
        "core/test_xportrait.py": """
stem = Path(said["source_image"]).stem
assert said["best_frame"] == -2 and Path(said["resume_dir"]).is_file()
if not trouble(stem):
    driver = Path(said["driving_video"]).stem
    name = f"inference_{said['control_type']}_uc{said['uc_scale']}_{stem}_by_{driver}_mix{said['num_mix']}.mp4"
    clip(Path(said["output_dir"]) / name, 16, 512, 512, stem)
"""
    },
    "hunyuanportrait": {
        "inference.py": """
stem = Path(said["image_path"]).stem
assert Path("pretrained_weights/hyportrait/unet.pth").is_file() and Path(said["video_path"]).is_file()
if not trouble(stem):
    clip(f"results/20261128_{stem}_still/cropped.mp4", 25, 512, 512, stem)
    clip(f"results/20261128_{stem}_still/full_resolution.mp4", 25, 640, 480, stem)
"""
    },
    "fantasyportrait": {
        "infer.py": """
stem = Path(said["input_image_path"]).stem
assert said["num_frames"] == 33 and Path(said["wan_model_path"]).is_dir() and Path(said["driven_video_path"]).stem in ("left", "right")
if not trouble(stem):
    clip(Path(said["output_path"]) / f"20261128_{stem[:8]}_left.mp4", 33, 720, 544, stem)
    clip(Path(said["output_path"]) / f"20261128_{stem[:8]}_left_with_audio.mp4", 33, 720, 544, stem)
"""
    },
    "headgan_official": {
        "reenact.py": """
stem = Path(said["reference_path"]).stem
assert said["gpu_ids"] == "0" and Path("checkpoints/headGAN/latest_net_G.pth").is_file() and Path("files").is_dir()
assert (Path.home() / ".insightface" / "models" / "retinaface_r50_v1").exists()
if trouble(stem):
    sys.exit(0)
for i in range(3 if MODE == "short" and stem == BAD else 14):
    driver = Path(said["driving_path"]).stem
    image(Path(said["results_dir"]) / "headGAN" / "latest" / "reenact" / f"{driver}_{stem}" / "generated" / f"{i:06d}.png", 256, 256, stem)
"""
    },
    "fsgan_official": {
        "inference/reenact.py": """
import fsgan
source = Path(said["source"][0])
assert source.suffix == ".jpg" and said["min_length"] == 1 and Path(said["seg_model"]).is_file()
if not trouble(source.stem):
    clip(said["output"], 16, 256, 256, source.stem)
""",
        "__init__.py": "",
    },
    "triplanenet": {
        "scripts/inference_v2.py": """
data = Path(said["data_path"])
labels = dict(json.loads((data / "dataset.json").read_text())["labels"])
assert said["novel_view_angles"] == [0.0]
for path in sorted(data.glob("*.png")):
    assert len(labels[path.name]) == 25
    if not trouble(path.stem):
        image(Path(said["exp_dir"]) / "inference_results" / f"{path.stem}_0.0.png", 512, 512, path.stem)
"""
    },
    "goae": {
        "goae/infer.py": """
data = Path(said["data"])
labels = dict(json.loads((data / "label.json").read_text())["labels"])
assert said["multi_view"] and Path(said["cfg"]).is_file()
for path in sorted(data.glob("*.jpg")):
    assert len(labels[path.name]) == 25
    if not trouble(path.stem):
        image(Path(said["outdir"]) / "data" / path.stem / "multi_view.jpg", 768, 256, path.stem)
""",
        "goae/configs/swinv2.yaml": "# as it comes\n",
    },
    "eg3d_projector": {
        "eg3d/run_projector.py": """
import numpy as np
stem = Path(said["image_path"]).stem
assert np.load(said["c_path"]).shape == (25,) and Path(said["network"]).is_file()
trouble(stem)
place = Path(said["outdir"]) / f"{stem}_w"
place.mkdir(parents=True, exist_ok=True)
if not (MODE == "partial" and stem == BAD):
    np.save(place / f"{stem}_w.npy", np.zeros((1, 1, 512), np.float32))
""",
        "eg3d/projector/PTI/run_pti_single_image.py": """
import shutil
for path in Path("../../projector_test_data").glob("*.png"):
    Path("checkpoints").mkdir(exist_ok=True)
    shutil.copy(MADE / "tuned.pth", f"checkpoints/model_{path.stem}_w.pth")
""",
        "eg3d/legacy.py": """
import torch
class Generator(torch.nn.Module):
    class backbone:
        class mapping:
            num_ws = 14
    def synthesis(self, ws, c, noise_mode):
        assert ws.shape == (1, 14, 512) and c.shape == (1, 25) and noise_mode == "const"
        return {"image": torch.zeros(1, 3, 512, 512)}
def load_network_pkl(file):
    return {"G_ema": Generator()}
""",
    },
    "cfr_gan": {
        "inference.py": """
assert said["aligner"] is None and Path(said["generator_path"]).is_file() and Path("mmRegressor/BFM/BFM_model_80.mat").is_file()
import cv2
for path in sorted(Path(said["img_path"]).glob("*.jpg")):
    assert cv2.imread(str(path)).shape == (224, 224, 3)
    if not trouble(path.stem):
        image(Path(said["save_path"]) / path.name, 224, 224, path.stem)
""",
        "mmRegressor/__init__.py": "",
    },
    "hrn_full": {
        "demo.py": """
assert Path("assets/pretrained_models/hrn_v1.1/epoch_10.pth").is_file()
for path in sorted(Path(said["input_root"]).glob("*.png")):
    if not trouble(path.stem):
        clip(Path(said["output_root"]) / path.stem / f"{path.stem}_0_hrn_output.gif", 30, 1280, 256, path.stem)
"""
    },
    "pixel3dmm": {
        "scripts/run_preprocessing.py": """
stem = Path(said["video_or_images_path"]).stem
if not trouble(stem):
    image(Path(os.environ["PIXEL3DMM_PREPROCESSED_DATA"]) / stem / "cropped" / "00000.jpg", 512, 512, "")
""",
        "scripts/network_inference.py": "assert said['model.prediction_type'] in ('normals', 'uv_map')\n",
        "scripts/track.py": """
import shutil
stem = said["video_name"]
assert said["iters"] == "800" and Path("pretrained_weights/uv.ckpt").is_file()
place = Path(os.environ["PIXEL3DMM_TRACKING_OUTPUT"]) / f"{stem}_nV1_noPho_uv2000.0_n1000.0"
for name in ("mesh", "checkpoint"):
    (place / name).mkdir(parents=True, exist_ok=True)
if not (MODE == "partial" and stem == BAD):
    (place / "mesh" / "00000.ply").write_text("a tetrahedron")
    shutil.copy(MADE / "tracked.frame", place / "checkpoint" / "00000.frame")
""",
    },
    "cvthead_official": {
        "inference.py": """
import torch
def preprocess_image(path, points, device):
    stem = Path(path).stem
    if trouble(stem):
        raise IndexError("list index out of range")
    torch.stem = stem
    return torch.zeros(1, 3, 256, 256), torch.zeros(1, 3, 224, 224), torch.eye(3)[None]
""",
        "models/cvthead.py": """
import torch
class CVTHead(torch.nn.Module):
    class deca:
        @staticmethod
        def encode(face, use_detail):
            return {"pose": torch.full((1, 6), 0.5)}
    def load_state_dict(self, state, strict):
        assert not strict
    def flame_coef_generation(self, face, image, tform, hair_deform=True, shape=None, exp=None, pose=None):
        assert shape is None and exp is None and pose.tolist() == [[0, 0, 0, 0.5, 0.5, 0.5]]
        side = 128 if MODE == "size" and torch.stem == BAD else 256
        return {"pred_drv_img": torch.zeros(1, 3, side, side), "pred_drv_mask": torch.ones(1, 1, side, side)}
""",
    },
    "qwen_edit": {},
}

FAKES = {
    "face_alignment.py": "class LandmarksType:\n    TWO_D = 1\nclass FaceAlignment:\n    def __init__(self, kind, device):\n        pass\n",
    "trimesh.py": """
import numpy as np
class Mesh:
    vertices = np.array([[-0.1, -0.1, 0], [0.1, -0.1, 0], [0, 0.1, 0], [0, 0, -0.1]])
    faces = np.array([[0, 1, 2], [1, 0, 3], [2, 1, 3], [0, 2, 3]])
def load(path, process):
    return Mesh()
""",
    "diffusers.py": """
from PIL import Image
from pathlib import Path
count = 0
class QwenImageEditPlusPipeline:
    @staticmethod
    def from_pretrained(folder, torch_dtype, local_files_only):
        assert Path(folder).is_dir() and local_files_only
        return QwenImageEditPlusPipeline()
    def load_lora_weights(self, folder, weight_name, adapter_name):
        assert (Path(folder) / weight_name).is_file()
    def set_adapters(self, names, adapter_weights):
        assert names == ["angles"] and adapter_weights == [0.9]
    def to(self, device):
        pass
    def __call__(self, image, prompt, negative_prompt, num_inference_steps, true_cfg_scale, generator, num_images_per_prompt):
        global count
        count += 1
        assert prompt.startswith("<sks> front view") and generator.initial_seed() == 0
        if count == 2 and MODE in ("oom", "crash", "partial"):
            raise RuntimeError("CUDA out of memory." if MODE == "oom" else "it broke")
        class Made:
            images = [Image.new("RGB", image[0].size)]
        return Made()
""",
}

SAVED: dict[str, tuple[str, dict[str, Any]]] = {
    "eg3d_projector": ("tuned.pth", {"G_ema": {}}),
    "pixel3dmm": (
        "tracked.frame",
        {
            "flame": {"R": np.array([[1.0, 0, 0, 0, 1.0, 0]]), "t": np.zeros((1, 3))},
            "camera": {"R_base_0": np.eye(3)[None], "t_base_0": np.array([[0, 0, -1.0]]), "fl": np.array([[2.0]]), "pp": np.zeros((1, 2))},
            "joint_transforms": np.eye(4)[None, None].repeat(2, 1),
        },
    ),
}
"""What the last step of a system saves with torch: (file in ``fakes``, content)."""


def _git(folder: Path) -> str:
    """Commit everything in ``folder``; returns the commit."""

    def git(*words: str) -> str:
        named = ["-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", "-C", str(folder), *named, *words], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--allow-empty", "-m", "stand-in")
    return git("rev-parse", "HEAD")


def _write(folder: Path, files: dict[str, str], name: str, prelude: str) -> None:
    spoken = command_line(name)["programs"]
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        spec = spoken.get(path)
        body = f"said = read(json.loads({json.dumps(spec)!r}))\n{text}" if spec else text
        target.write_text(body if target.suffix != ".py" or target.name == "__init__.py" else prelude + body)


def stand_in(tmp: Path, name: str, mode: str, **params: Any) -> ModelCard:
    """A project in ``tmp`` with the shipped adapter ``name`` beside a stand-in of its system; the card is the shipped one, but for the repository,
    the sums of assets, and ``params``. $FRONTALBENCH_STORE and $FRONTALBENCH_ENVIRONMENTS have to lie in ``tmp``."""
    shutil.copytree(ADAPTERS / name, tmp / "adapters" / name)
    data = yaml.safe_load((ROOT / "config" / "models" / "frontalizers" / f"{name}.yaml").read_text(encoding="utf-8"))
    fakes = tmp / "fakes"
    fakes.mkdir()
    prelude = PRELUDE.format(fakes=str(fakes), mode=mode, bad=BAD)
    for file, text in FAKES.items():
        (fakes / file).write_text(f"MODE = {mode!r}\n{text}")
    if name in SAVED:  # written here, as loading torch is most of what a stand-in would take
        file, content = SAVED[name]
        (fakes / file).write_bytes(_saved(content))
    for asset in data["external"].get("assets", ()):
        asset.pop("sha256", None)
        place = foreign.store.folder() / "external" / name / asset["file"]
        place.parent.mkdir(parents=True, exist_ok=True)
        if Path(asset["file"]).suffix in FILES:
            place.write_bytes(_saved({"model": {}}) if name == "cvthead_official" and asset["file"].endswith("cvthead.pt") else b"stand-in")
        else:
            place.mkdir(exist_ok=True)
    if "repository" in data["external"]:
        upstream = tmp / "upstream"
        upstream.mkdir()
        _write(upstream, PROGRAMS[name], name, prelude)
        data["external"]["repository"] = {"url": str(upstream), "commit": _git(upstream)}
    if name == "cfr_gan":
        restorer = foreign.store.folder() / "external" / name / "CodeFormer"
        body = """
for path in sorted(Path(said["input_path"]).glob("*.[jp][pn]g")):
    image(Path(said["output_path"]) / "final_results" / f"{path.stem}.png", 448, 448, path.stem)
"""
        _write(restorer, {"inference_codeformer.py": body}, name, prelude)
        data["params"]["options"]["codeformer_commit"] = _git(restorer)
    data["params"].update(params)
    for used in data.get("uses", ()):
        kind = "detectors" if used.startswith("scrfd") else "drivers"
        (tmp / "config" / "models" / kind).mkdir(parents=True, exist_ok=True)
        for path in (ROOT / "config" / "models" / kind).glob(f"{used}*"):
            shutil.copyfile(path, tmp / "config" / "models" / kind / path.name)
    path = tmp / "config" / "models" / "frontalizers" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(data))
    card = cards.load(path)
    _environment(card, fakes)
    if "repository" in data["external"]:
        foreign.fetch_repository(external.read(card))
    return card


def _environment(card: ModelCard, fakes: Path) -> None:
    """This Python as the environment of a card, with the packages that stand in for others, and an ffmpeg that copies."""
    folder = foreign.environment_folder(external.read(card))
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nPYTHONPATH={fakes}:$PYTHONPATH exec {sys.executable} "$@"\n')
    (folder / "bin" / "ffmpeg").write_text('#!/bin/sh\nfor last; do :; done\ncp "$3" "$last"\n')
    for tool in ("python", "ffmpeg"):
        (folder / "bin" / tool).chmod(0o755)
    (folder / foreign.READY).write_text("stand-in\n")


def _saved(content: Mapping[str, Any]) -> bytes:
    """``content`` as torch saves it."""
    import io

    import torch

    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    return buffer.getvalue()


def eyes_of(points: np.ndarray) -> float:
    """Distance of the eyes of five points, in pixels."""
    return float(np.linalg.norm(points[1] - points[0]))
