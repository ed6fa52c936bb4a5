"""GFPGAN by its authors' package: an aligned face of 512 x 512 pixels in, the restored one out.

Only the network is asked. Finding, aligning and putting back the face is done outside, so that nothing here downloads a detector. Noise is the stored
one, so that the same face gives the same pixels (the package draws it anew for every image unless it is told not to).
"""

import json
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import numpy as np
import torch
from gfpgan.archs.gfpganv1_clean_arch import GFPGANv1Clean
from PIL import Image

job = Path(sys.argv[1])
manifest = json.loads((job / "in" / "manifest.json").read_text(encoding="utf-8"))
device = torch.device(manifest["device"])
torch.set_num_threads(max(1, manifest["threads"]))
[weights] = [path for name, path in manifest["weights"].items() if name.endswith("gfpgan_full.model")]

network = GFPGANv1Clean(
    out_size=512,
    num_style_feat=512,
    channel_multiplier=2,
    decoder_load_path=None,
    fix_decoder=False,
    num_mlp=8,
    input_is_latent=True,
    different_w=True,
    narrow=1,
    sft_half=True,
)
network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True)["params_ema"], strict=True)
network.eval().to(device)

with (job / "out" / "status.jsonl").open("a", encoding="utf-8") as said:
    for asked in manifest["pictures"]:
        started = time.perf_counter()
        line = {"name": asked["name"]}
        try:
            pixels = np.asarray(Image.open(job / asked["file"]).convert("RGB"), dtype=np.float32)
            blob = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()).to(device) / 127.5 - 1.0
            with torch.inference_mode():
                restored = network(blob, return_rgb=False, randomize_noise=False)[0][0].clamp(-1, 1).cpu().numpy()
            made = np.clip(np.rint((restored.transpose(1, 2, 0) + 1.0) * 127.5), 0, 255).astype(np.uint8)
            Image.fromarray(made).save(job / "out" / (asked["name"] + ".png"))
            line["ok"] = True
        except Exception as error:  # one bad image must not cost the others
            line["reason"] = "{}: {}".format(type(error).__name__, error)
        line["seconds"] = time.perf_counter() - started
        said.write(json.dumps(line) + "\n")
        said.flush()
