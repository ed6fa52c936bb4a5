# images and measured pose of all shards -> one small table of each: every comparison of the dataset reads it, and waits for two files instead of two per shard


rule collect_metadata:
    input:
        images=lambda wildcards: PLAN.files.images(wildcards.dataset),
        pose=lambda wildcards: PLAN.files.pose(wildcards.dataset, ORIGINAL),
    output:
        images="results/metadata/{dataset}/images.parquet",
        pose="results/metadata/{dataset}/pose.parquet",
    log:
        "logs/collect_metadata/{dataset}.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=lambda wildcards: PLAN.reruns.code(
            "metadata", "collect_metadata.py", schema="listed"
        ),
    shell:
        SCRIPT + "collect_metadata.py --images {input.images:q} --pose {input.pose:q}"
        " --images-out {output.images:q} --pose-out {output.pose:q} 2> {log:q}"
