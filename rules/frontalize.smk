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


# the same from a folder of results that another system made (cards of family made_elsewhere): joined by name, nothing is computed
rule take_delivery:
    input:
        pictures="results/images/{dataset}/{shard}.parquet",
        # Only for the names of all photographs; a new person in another shard changes nothing here.
        listed=ancient("results/metadata/{dataset}/images.parquet"),
    output:
        "results/frontals/{dataset}/{frontalizer}/{shard}.parquet",
    log:
        "logs/take_delivery/{dataset}/{frontalizer}/{shard}.log",
    wildcard_constraints:
        frontalizer=PLAN.elsewhere_pattern(),
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        delivered=lambda wildcards: PLAN.delivered(
            wildcards.dataset, wildcards.frontalizer, wildcards.shard
        ),
        code=lambda wildcards: PLAN.code(
            "delivery",
            "take_delivery.py",
            ("frontalizer", wildcards.frontalizer),
            schema="frontals",
        ),
    shell:
        SCRIPT
        + "take_delivery.py --model {wildcards.frontalizer:q} --dataset {wildcards.dataset:q} --in {input.pictures:q}"
        " --listed {input.listed:q} --out {output:q} 2> {log:q}"


ruleorder: take_delivery > frontalize
