# any variant -> measured pose


rule measure_pose:
    input:
        images=lambda wildcards: grid.images_path(
            wildcards.dataset, wildcards.variant, wildcards.shard
        ),
        faces=lambda wildcards: grid.crops_path(
            wildcards.dataset, wildcards.variant, PLAN.config.locator, wildcards.shard
        ),
        weights=PLAN.cards.receipt("pose", PLAN.config.pose),
    output:
        "results/pose/{dataset}/{variant}/{shard}.parquet",
    log:
        "logs/measure_pose/{dataset}/{variant}/{shard}.log",
    benchmark:
        "logs/benchmarks/measure_pose/{dataset}/{variant}/{shard}.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=1500,
        runtime=60,
    params:
        estimator=PLAN.config.pose,
        code=lambda wildcards: PLAN.reruns.code(
            "pose", "measure_pose.py", ("pose", PLAN.config.pose), schema="pose"
        ),
    shell:
        SCRIPT
        + "measure_pose.py --estimator {params.estimator:q} --threads {threads} --gpus {resources.gpu}"
        " --in {input.images:q} --faces {input.faces:q} --out {output:q} 2> {log:q}"
