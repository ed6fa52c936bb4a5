# crops -> embeddings


rule embed:
    input:
        crops="results/crops/{dataset}/{variant}/{detector}/{shard}.parquet",
        weights="results/weights/backbone/{backbone}.json",
    output:
        "results/embeddings/{dataset}/{variant}/{detector}/{backbone}/{shard}.parquet",
    log:
        "logs/embed/{dataset}/{variant}/{detector}/{backbone}/{shard}.log",
    benchmark:
        "logs/benchmarks/embed/{dataset}/{variant}/{detector}/{backbone}/{shard}.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=10,
    params:
        code=lambda wildcards: PLAN.reruns.code(
            "embed", "extract_embeddings.py", ("backbone", wildcards.backbone)
        ),
    shell:
        SCRIPT
        + "extract_embeddings.py --backbone {wildcards.backbone:q} --threads {threads} --gpus {resources.gpu}"
        " --in {input.crops:q} --out {output:q} 2> {log:q}"
