# frontals -> variants, a step at a time: a longer chain is made of the shorter one's table


rule enhance:
    input:
        images=lambda wildcards: grid.images_path(
            wildcards.dataset, PLAN.steps.before(wildcards), wildcards.shard
        ),
        drawn=lambda wildcards: PLAN.steps.drawn(wildcards),
        # Some steps look at what the frontals were made of; read only then.
        photographs="results/images/{dataset}/{shard}.parquet",
        weights=lambda wildcards: PLAN.cards.receipt(
            "enhancement", PLAN.steps.last(wildcards)
        ),
    output:
        "results/variants/{dataset}/{frontalizer}.{enhancement}/{shard}.parquet",
    log:
        "logs/enhance/{dataset}/{frontalizer}.{enhancement}/{shard}.log",
    benchmark:
        "logs/benchmarks/enhance/{dataset}/{frontalizer}.{enhancement}/{shard}.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=3000,
        runtime=240,
    params:
        options=lambda wildcards, input: PLAN.steps.options(wildcards, input.drawn),
        code=lambda wildcards: PLAN.reruns.code(
            "enhance",
            "enhance.py",
            ("enhancement", PLAN.steps.last(wildcards)),
            schema="frontals",
        ),
    shell:
        SCRIPT
        + "enhance.py --chain {wildcards.enhancement:q} {params.options} --threads {threads} --gpus {resources.gpu}"
        " --in {input.images:q} --photographs {input.photographs:q} --out {output:q} 2> {log:q}"


# What cards that differ only in what they do with it share: a network's faces (GFPGAN's, for full and detail)
rule draw_faces:
    input:
        images=lambda wildcards: grid.images_path(
            wildcards.dataset, wildcards.variant, wildcards.shard
        ),
        weights=lambda wildcards: PLAN.cards.receipt(
            "enhancement", PLAN.steps.card(wildcards.network)
        ),
    output:
        "results/drawn/{dataset}/{variant}/{network}/{shard}.parquet",
    log:
        "logs/draw_faces/{dataset}/{variant}/{network}/{shard}.log",
    benchmark:
        "logs/benchmarks/draw_faces/{dataset}/{variant}/{network}/{shard}.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=3000,
        runtime=240,
    params:
        card=lambda wildcards: PLAN.steps.card(wildcards.network),
        code=lambda wildcards: PLAN.reruns.code(
            "enhance",
            "draw_faces.py",
            ("enhancement", PLAN.steps.card(wildcards.network)),
            schema="drawn",
            meant=False,  # the network's name says what counts
        ),
    shell:
        SCRIPT
        + "draw_faces.py --card {params.card:q} --threads {threads} --gpus {resources.gpu}"
        " --in {input.images:q} --out {output:q} 2> {log:q}"
