# dataset card -> images


# snakemake fetch_datasets: downloads what has a direct address and says what to fetch by hand; a folder that is there is left as it is
rule fetch_datasets:
    log:
        "logs/fetch_datasets.log",
    conda:
        "../envs/core.yaml"
    params:
        names=list(PLAN.datasets),
        roots=[str(card.root) for card in PLAN.datasets.values()],
    shell:
        SCRIPT
        + "fetch_dataset.py --dataset {params.names:q} --root {params.roots:q} 2>&1 | tee {log:q}"


rule prepare:
    output:
        "results/images/{dataset}/{shard}.parquet",
    log:
        "logs/prepare/{dataset}/{shard}.log",
    benchmark:
        "logs/benchmarks/prepare/{dataset}/{shard}.tsv"
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        options=lambda wildcards: PLAN.sources.options(wildcards.dataset),
        card=lambda wildcards: PLAN.datasets[wildcards.dataset].digest(),
        members=lambda wildcards: PLAN.sources.members(
            wildcards.dataset, wildcards.shard
        ),
        code=lambda wildcards: PLAN.reruns.code(
            "prepare",
            "prepare_dataset.py",
            schema="images",
            dataset=wildcards.dataset,
        ),
    shell:
        SCRIPT
        + "prepare_dataset.py --dataset {wildcards.dataset:q} --shard {wildcards.shard:q} --options {params.options:q}"
        " --out {output:q} 2> {log:q}"
