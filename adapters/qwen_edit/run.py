"""Qwen-Image-Edit-2511 with the multiple-angles LoRA of fal: the photograph is edited by a prompt that asks for the front view.

Nothing measures an angle here: what the prompt does to a face is what is to be judged. Seed, steps, strength and prompt stand on the card.
"""

import json
import sys
import time
from pathlib import Path

import torch
from diffusers import QwenImageEditPlusPipeline
from PIL import Image

job = Path(sys.argv[1])
manifest = json.loads((job / "in" / "manifest.json").read_text(encoding="utf-8"))
options, assets, device = manifest["options"], Path(manifest["assets"]), manifest["device"]
number = torch.bfloat16 if device == "cuda" else torch.float32
pipeline = QwenImageEditPlusPipeline.from_pretrained(str(assets / "Qwen-Image-Edit-2511"), torch_dtype=number, local_files_only=True)
pipeline.load_lora_weights(str(assets), weight_name="qwen-image-edit-2511-multiple-angles-lora.safetensors", adapter_name="angles")
pipeline.set_adapters(["angles"], adapter_weights=[options["strength"]])
if options["offload"] and device == "cuda":
    pipeline.enable_model_cpu_offload()
else:
    pipeline.to(device)


def turn(asked, out):
    image = Image.open(str(job / asked["file"])).convert("RGB")
    generator = torch.Generator(device="cpu").manual_seed(manifest["seed"])  # the same for every image, whatever stands beside it
    made = pipeline(
        image=[image],
        prompt=options["prompt"],
        negative_prompt=" ",
        num_inference_steps=options["steps"],
        true_cfg_scale=options["true_cfg_scale"],
        generator=generator,
        num_images_per_prompt=1,
    ).images[0]
    made.save(str(out / (asked["name"] + ".png")))


with (job / "out" / "status.jsonl").open("a", encoding="utf-8") as said:
    for asked in manifest["pictures"]:
        started = time.perf_counter()
        line = {"name": asked["name"]}
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            turn(asked, job / "out")
            line["ok"] = True
        except Exception as error:
            line["reason"] = f"{type(error).__name__}: {error}"
        line["seconds"] = time.perf_counter() - started
        if device == "cuda":
            line["gpu_mb"] = torch.cuda.max_memory_allocated() / 2**20
        said.write(json.dumps(line) + "\n")
        said.flush()
