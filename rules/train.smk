# Training, on people who do not exist. Nothing of a run of the grid needs these rules; ask for them by their targets:
#   snakemake --cores 2 train_features      the feature maps of the backbones in config/models/features
#   snakemake --cores 2 train_rnr           frontalbench_rnr, the configuration for a processor (docs/gpu.md has the other one)
#   snakemake --cores 2 train_scaleway      scaleway_synth, likewise

TRAINED_FEATURES = ["w600k_mbf", "sface", "arcface_y1"]


localrules:
    train_features,
    train_rnr,
    train_scaleway,


rule train_features:
    input:
        expand(
            "results/train/features/feature_{backbone}.safetensors",
            backbone=TRAINED_FEATURES,
        ),


rule train_rnr:
    input:
        "results/train/rnr/frontalbench_rnr.safetensors",


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
        people=400,
        code=lambda wildcards: PLAN.summary_code("make_pairs.py"),
    shell:
        "python workflow/scripts/make_pairs.py --shots {output:q} --people {params.people} --threads {threads} 2> {log:q}"


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
        code=lambda wildcards: PLAN.summary_code("make_pairs.py"),
    shell:
        "python workflow/scripts/make_pairs.py --shots {input:q} --out {output:q} --people {params.people} --threads {threads} 2> {log:q}"


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
        code=lambda wildcards: PLAN.summary_code("train_feature.py"),
    shell:
        "python workflow/scripts/train_feature.py --shots {input:q} --backbone {wildcards.backbone:q} --out {output:q} {params.numbers} > {log:q} 2>&1"


rule train_rnr_network:
    input:
        "results/train/pairs",
    output:
        "results/train/rnr/frontalbench_rnr.safetensors",
        "results/train/rnr/report.json",
    log:
        "logs/train/rnr.log",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        network="rnr",
        code=lambda wildcards: PLAN.summary_code("train_network.py"),
    shell:
        "python workflow/scripts/train_network.py {params.network} --pairs {input:q} --out results/train/{params.network} --preset tiny --threads {threads} > {log:q} 2>&1"


use rule train_rnr_network as train_scaleway_network with:
    output:
        "results/train/scaleway/scaleway_synth.safetensors",
        "results/train/scaleway/report.json",
    log:
        "logs/train/scaleway.log",
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        network="scaleway",
        code=lambda wildcards: PLAN.summary_code("train_network.py"),
