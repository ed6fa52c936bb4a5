# frontals -> variants


rule enhance:
    input:
        pictures="results/frontals/{dataset}/{frontalizer}/{shard}.parquet",
        # Some steps look at what the frontals were made of; read only then.
        photographs="results/images/{dataset}/{shard}.parquet",
        weights=lambda wildcards: PLAN.cards.receipt(
            "enhancement", wildcards.enhancement
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
        code=lambda wildcards: PLAN.reruns.code(
            "enhance",
            "enhance.py",
            ("enhancement", wildcards.enhancement),
            schema="frontals",
        ),
    shell:
        SCRIPT
        + "enhance.py --chain {wildcards.enhancement:q} --threads {threads} --gpus {resources.gpu}"
        " --in {input.pictures:q} --photographs {input.photographs:q} --out {output:q} 2> {log:q}"
