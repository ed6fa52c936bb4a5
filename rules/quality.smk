# aligned crops of a variant and of `original` -> quality of the pictures


rule judge_quality:
    input:
        images="results/people/{dataset}/images.parquet",
        original_pose="results/people/{dataset}/pose.parquet",
        crops=lambda wildcards: PLAN.crops(
            wildcards.dataset, wildcards.variant, wildcards.detector
        ),
        original_crops=lambda wildcards: PLAN.crops(
            wildcards.dataset, grid.ORIGINAL, wildcards.detector
        ),
        more=lambda wildcards: PLAN.quality_inputs(wildcards.dataset, wildcards.variant),
    output:
        "results/quality/{dataset}/{variant}/{detector}.parquet",
    log:
        "logs/judge_quality/{dataset}/{variant}/{detector}.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        roles=lambda wildcards: PLAN.roles(wildcards.dataset),
        more=lambda wildcards: PLAN.quality_options(
            wildcards.dataset, wildcards.variant
        ),
        code=lambda wildcards: PLAN.code(
            "quality", "judge_quality.py", *PLAN.quality_cards(), schema="quality"
        ),
    shell:
        "python workflow/scripts/judge_quality.py --variant {wildcards.variant:q} --roles {params.roles:q}"
        " --images {input.images:q} --original-pose {input.original_pose:q} --crops {input.crops:q}"
        " --original-crops {input.original_crops:q} {params.more} --out {output:q} 2> {log:q}"
