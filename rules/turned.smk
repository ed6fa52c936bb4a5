# references of a dataset -> the same, turned to the probes' angles (for pose_matched cells)


rule turn_references:
    input:
        pictures="results/images/{dataset}/{shard}.parquet",
        faces=lambda wildcards: grid.crops_path(
            wildcards.dataset, ORIGINAL, PLAN.config.locator, wildcards.shard
        ),
        images="results/metadata/{dataset}/images.parquet",
        pose="results/metadata/{dataset}/pose.parquet",
        weights=lambda wildcards: PLAN.cards.receipt(
            "frontalizer", wildcards.frontalizer
        ),
    output:
        "results/turned/{dataset}/{frontalizer}/{shard}.parquet",
    log:
        "logs/turn_references/{dataset}/{frontalizer}/{shard}.log",
    benchmark:
        "logs/benchmarks/turn_references/{dataset}/{frontalizer}/{shard}.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        gpu=lambda wildcards: PLAN.resources.gpus(wildcards.frontalizer),
        mem_mb=lambda wildcards, attempt: attempt
        * PLAN.resources.mem_mb(wildcards.frontalizer),
        runtime=lambda wildcards, attempt: attempt
        * PLAN.resources.minutes(
            wildcards.frontalizer, wildcards.dataset, wildcards.shard, turning=True
        ),
    params:
        roles=lambda wildcards: PLAN.sources.roles(wildcards.dataset),
        edges=lambda wildcards: PLAN.sources.yaw_edges(wildcards.dataset),
        code=lambda wildcards: PLAN.reruns.code(
            "turned",
            "turn_references.py",
            ("frontalizer", wildcards.frontalizer),
            schema="frontals",
        ),
    shell:
        SCRIPT
        + "turn_references.py --model {wildcards.frontalizer:q} --threads {threads} --gpus {resources.gpu} --roles {params.roles:q}"
        " --yaw-bins {params.edges} --in {input.pictures:q} --faces {input.faces:q} --images {input.images:q} --pose {input.pose:q}"
        " --out {output:q} 2> {log:q}"
