# dataset card -> images


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
        options=lambda wildcards: PLAN.dataset_options(wildcards.dataset),
        card=lambda wildcards: PLAN.datasets[wildcards.dataset].digest(),
        members=lambda wildcards: PLAN.members(wildcards.dataset, wildcards.shard),
        code=lambda wildcards: PLAN.code(
            "prepare", "prepare_dataset.py", schema="images"
        ),
    shell:
        "python workflow/scripts/prepare_dataset.py --dataset {wildcards.dataset:q} --shard {wildcards.shard:q} --options {params.options:q}"
        " --out {output:q} 2> {log:q}"
