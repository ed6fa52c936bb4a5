# embeddings and cells of the whole grid -> open-set search, line-ups, thresholds and DET curves with intervals; only with `search: {draws: N}`


rule search:
    input:
        images=[
            f"results/metadata/{dataset}/images.parquet" for dataset in PLAN.datasets
        ],
        pose=[f"results/metadata/{dataset}/pose.parquet" for dataset in PLAN.datasets],
        similarity=[str(cell.similarity) for cell in PLAN.cells],
        scores=[str(cell.scores) for cell in PLAN.cells],
        embeddings=PLAN.files.searched_embeddings(),
    output:
        expand(f"{OWN.search}/{{name}}.csv", name=PLAN.files.search_tables()),
    log:
        f"logs/search/{RUN}.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        grid=PLAN.selection().to_json(),
        draws=max(1, PLAN.config.search.draws),
        enrolled=PLAN.config.search.enrolled,
        seed=PLAN.config.statistics.seed,
        code=lambda wildcards: PLAN.reruns.summary_code("search_results.py"),
    shell:
        SCRIPT
        + "search_results.py results --grid {params.grid:q} --draws {params.draws} --enrolled {params.enrolled} --seed {params.seed}"
        " --out {params.folder:q} > {log:q} 2>&1"


# cells of the whole grid -> results by slices of the datasets; only with `slices: [...]`
rule slices:
    input:
        similarity=[str(cell.similarity) for cell in PLAN.cells],
        index=PLAN.sources.indexes(),
    output:
        expand(f"{OWN.slices}/{{name}}.csv", name=PLAN.files.slice_tables()),
    log:
        f"logs/slices/{RUN}.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        grid=PLAN.selection().to_json(),
        by=PLAN.config.slices or ["pitch"],
        index=PLAN.sources.index_options(),
        code=lambda wildcards: PLAN.reruns.summary_code("slice_results.py"),
    shell:
        SCRIPT
        + "slice_results.py results --grid {params.grid:q} --by {params.by:q} {params.index} --out {params.folder:q} > {log:q} 2>&1"


# embeddings, images and quality of the whole grid -> sequences over time; only with `over_time: true`
rule over_time:
    input:
        images=[
            f"results/metadata/{dataset}/images.parquet" for dataset in PLAN.datasets
        ],
        pose=[f"results/metadata/{dataset}/pose.parquet" for dataset in PLAN.datasets],
        similarity=[str(cell.similarity) for cell in PLAN.cells],
        embeddings=PLAN.files.searched_embeddings(),
        quality=PLAN.files.quality_tables(),
        shards=PLAN.selection().images(),
    output:
        expand(f"{OWN.over_time}/{{name}}.csv", name=PLAN.files.over_time_tables()),
    log:
        f"logs/over_time/{RUN}.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        grid=PLAN.selection().to_json(),
        code=lambda wildcards: PLAN.reruns.summary_code("over_time.py"),
    shell:
        SCRIPT
        + "over_time.py results --grid {params.grid:q} --out {params.folder:q} > {log:q} 2>&1"
