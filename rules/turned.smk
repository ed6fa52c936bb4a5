# references of a dataset -> the same, turned to the probes' angles (for pose_matched cells)


rule turn_references:
    input:
        shard="results/images/{dataset}/{shard}.parquet",
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
        made_of=lambda wildcards: PLAN.reruns.made_of(wildcards.frontalizer),
        code=lambda wildcards: PLAN.reruns.code(
            "turned",
            "turn_references.py",
            ("frontalizer", wildcards.frontalizer),
            schema="frontals",
        ),
    shell:
        SCRIPT
        + "turn_references.py --model {wildcards.frontalizer:q} --threads {threads} --gpus {resources.gpu} --roles {params.roles:q}"
        " --yaw-bins {params.edges} --in {input.shard:q} --faces {input.faces:q} --images {input.images:q} --pose {input.pose:q}"
        " --out {output:q} 2> {log:q}"


# the same from a folder that somebody delivered (the second card of a card of family made_elsewhere)
rule take_turned:
    input:
        shard="results/images/{dataset}/{shard}.parquet",
        images="results/metadata/{dataset}/images.parquet",
        pose="results/metadata/{dataset}/pose.parquet",
    output:
        "results/turned/{dataset}/{frontalizer}/{shard}.parquet",
    log:
        "logs/take_turned/{dataset}/{frontalizer}/{shard}.log",
    wildcard_constraints:
        frontalizer=PLAN.cards.elsewhere_pattern(),
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        card=lambda wildcards: PLAN.cards.turned_by(wildcards.frontalizer),
        delivered=lambda wildcards: PLAN.sources.turned(
            wildcards.dataset, wildcards.frontalizer
        ),
        roles=lambda wildcards: PLAN.sources.roles(wildcards.dataset),
        edges=lambda wildcards: PLAN.sources.yaw_edges(wildcards.dataset),
        code=lambda wildcards: PLAN.reruns.code(
            "delivery",
            "take_delivery.py",
            ("frontalizer", wildcards.frontalizer),
            schema="frontals",
        ),
    shell:
        SCRIPT
        + "take_delivery.py --turned --model {params.card:q} --dataset {wildcards.dataset:q} --in {input.shard:q}"
        " --listed {input.images:q} --pose {input.pose:q} --roles {params.roles:q} --yaw-bins {params.edges} --out {output:q} 2> {log:q}"


ruleorder: take_turned > turn_references
