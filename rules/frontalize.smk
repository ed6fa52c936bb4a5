# images -> frontals


rule frontalize:
    input:
        pictures="results/images/{dataset}/{shard}.parquet",
        faces=lambda wildcards: grid.crops_path(
            wildcards.dataset, ORIGINAL, PLAN.config.locator, wildcards.shard
        ),
        weights=lambda wildcards: PLAN.receipt("frontalizer", wildcards.frontalizer),
    output:
        "results/frontals/{dataset}/{frontalizer}/{shard}.parquet",
    log:
        "logs/frontalize/{dataset}/{frontalizer}/{shard}.log",
    benchmark:
        "logs/benchmarks/frontalize/{dataset}/{frontalizer}/{shard}.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        gpu=lambda wildcards: PLAN.gpus(wildcards.frontalizer),
        mem_mb=lambda wildcards, attempt: attempt * PLAN.mem_mb(wildcards.frontalizer),
        runtime=lambda wildcards, attempt: attempt
        * PLAN.minutes(wildcards.frontalizer, wildcards.dataset, wildcards.shard),
    params:
        code=lambda wildcards: PLAN.code(
            "frontalize",
            "frontalize.py",
            ("frontalizer", wildcards.frontalizer),
            schema="frontals",
        ),
    shell:
        SCRIPT
        + "frontalize.py --model {wildcards.frontalizer:q} --threads {threads} --gpus {resources.gpu}"
        " --in {input.pictures:q} --faces {input.faces:q} --out {output:q} 2> {log:q}"
