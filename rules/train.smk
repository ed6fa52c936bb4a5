# Training, on people who do not exist. Nothing of a run of the grid needs these rules; ask for them by their targets:
#   snakemake --cores 2 train_features      the feature maps of the backbones in config/models/features
#   snakemake --cores 2 train_refiner_tiny      frontalbench_rnr in minutes, to see that it learns
#   snakemake --cores 2 train_refiner           frontalbench_rnr as it is shipped: an hour where the processor multiplies bfloat16 matrices
#   snakemake --cores 2 train_refiner_256       the same at 256 pixels, begun with the other's weights
#   snakemake --cores 2 train_scaleway      scaleway_synth, the configuration for a processor
# On a GPU: docs/gpu.md.

TRAINED_FEATURES = ["w600k_mbf", "sface", "arcface_y1"]


localrules:
    train_features,
    train_refiner_tiny,
    train_refiner,
    train_refiner_256,
    train_scaleway,


rule train_features:
    input:
        expand(
            "results/train/features/feature_{backbone}.safetensors",
            backbone=TRAINED_FEATURES,
        ),


rule train_refiner_tiny:
    input:
        "results/train/refiner_tiny/frontalbench_rnr.safetensors",


rule train_refiner:
    input:
        "results/train/refiner/frontalbench_rnr.safetensors",


rule train_refiner_256:
    input:
        "results/train/refiner_256/frontalbench_rnr.safetensors",


rule train_scaleway:
    input:
        "results/train/scaleway/scaleway_synth.safetensors",


rule draw_people:
    output:
        directory("results/train/shots"),
    log:
        "logs/train/draw_people.log",
    conda:
        "../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=3000,
        runtime=240,
    params:
        people=900,
        code=lambda wildcards: PLAN.reruns.summary_code("make_pairs.py"),
    shell:
        SCRIPT
        + "make_pairs.py --shots {output:q} --people {params.people} --threads {threads} 2> {log:q}"


rule make_pairs:
    input:
        "results/train/shots",
    output:
        directory("results/train/pairs"),
    log:
        "logs/train/make_pairs.log",
    conda:
        "../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=3000,
        runtime=240,
    params:
        people=rules.draw_people.params.people,
        size=128,
        code=lambda wildcards: PLAN.reruns.summary_code("make_pairs.py"),
    shell:
        SCRIPT
        + "make_pairs.py --shots {input:q} --out {output:q} --people {params.people} --size {params.size} --threads {threads} 2> {log:q}"


use rule make_pairs as make_pairs_256 with:
    output:
        directory("results/train/pairs_256"),
    log:
        "logs/train/make_pairs_256.log",
    params:
        people=rules.draw_people.params.people,
        size=256,
        code=lambda wildcards: PLAN.reruns.summary_code("make_pairs.py"),


rule train_feature:
    input:
        "results/train/shots",
    output:
        "results/train/features/feature_{backbone}.safetensors",
    log:
        "logs/train/feature_{backbone}.log",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        numbers="--people 260 --shrinkage 8 --gate 30 70",
        code=lambda wildcards: PLAN.reruns.summary_code("train_feature.py"),
    shell:
        SCRIPT
        + "train_feature.py --shots {input:q} --backbone {wildcards.backbone:q} --out {output:q} {params.numbers} > {log:q} 2>&1"


rule train_network_tiny:
    input:
        pairs="results/train/pairs",
    output:
        "results/train/refiner_tiny/frontalbench_rnr.safetensors",
        "results/train/refiner_tiny/report.json",
    log:
        "logs/train/refiner_tiny.log",
    conda:
        "../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        run="refiner --preset tiny",
        folder=lambda wildcards, output: Path(output[0]).parent,
        code=lambda wildcards: PLAN.reruns.summary_code("train_network.py"),
    shell:
        SCRIPT
        + "train_network.py {params.run} --pairs {input.pairs:q} --out {params.folder:q} --threads {threads} > {log:q} 2>&1"


use rule train_network_tiny as train_network_refiner with:
    output:
        "results/train/refiner/frontalbench_rnr.safetensors",
        "results/train/refiner/report.json",
    log:
        "logs/train/refiner.log",
    resources:
        mem_mb=6000,
        runtime=240,
    params:
        run="refiner --preset short --bfloat16",
        folder=lambda wildcards, output: Path(output[0]).parent,
        code=lambda wildcards: PLAN.reruns.summary_code("train_network.py"),


use rule train_network_tiny as train_network_refiner_256 with:
    input:
        pairs="results/train/pairs_256",
        begin_with="results/train/refiner/frontalbench_rnr.safetensors",
    output:
        "results/train/refiner_256/frontalbench_rnr.safetensors",
        "results/train/refiner_256/report.json",
    log:
        "logs/train/refiner_256.log",
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        run=lambda wildcards, input: f"refiner --preset short_256 --bfloat16 --begin-with {input.begin_with}",
        folder=lambda wildcards, output: Path(output[0]).parent,
        code=lambda wildcards: PLAN.reruns.summary_code("train_network.py"),


use rule train_network_tiny as train_network_scaleway with:
    output:
        "results/train/scaleway/scaleway_synth.safetensors",
        "results/train/scaleway/report.json",
    log:
        "logs/train/scaleway.log",
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        run="scaleway --preset tiny",
        folder=lambda wildcards, output: Path(output[0]).parent,
        code=lambda wildcards: PLAN.reruns.summary_code("train_network.py"),
