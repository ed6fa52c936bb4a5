# any variant -> crops


rule detect:
    input:
        images=lambda wildcards: grid.images_path(
            wildcards.dataset, wildcards.variant, wildcards.shard
        ),
        weights="results/weights/detector/{detector}.json",
        alignment=lambda wildcards: PLAN.cards.alignment_receipts(wildcards.variant),
    output:
        "results/crops/{dataset}/{variant}/{detector}/{shard}.parquet",
    log:
        "logs/detect/{dataset}/{variant}/{detector}/{shard}.log",
    benchmark:
        "logs/benchmarks/detect/{dataset}/{variant}/{detector}/{shard}.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=1500,
        runtime=60,
    params:
        policy=PLAN.config.face_policy,
        options=lambda wildcards: [
            f"--aligned-for {name}"
            for _, name in PLAN.cards.aligning(wildcards.variant)
        ]
        + ["--upright"] * PLAN.cards.upright(wildcards.variant),
        code=lambda wildcards: PLAN.reruns.code(
            "detect",
            "preprocess.py",
            ("detector", wildcards.detector),
            *PLAN.cards.aligning(wildcards.variant),
            schema="crops",
        ),
    shell:
        SCRIPT
        + "preprocess.py --detector {wildcards.detector:q} --policy {params.policy:q} --threads {threads} --gpus {resources.gpu}"
        " {params.options} --in {input.images:q} --out {output:q} 2> {log:q}"
