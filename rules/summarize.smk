# every cell -> master tables


rule summarize:
    input:
        similarity=[str(cell.similarity) for cell in PLAN.cells],
        scores=[str(cell.scores) for cell in PLAN.cells],
        quality=PLAN.files.quality_tables(),
        distribution=PLAN.files.distribution_tables(),
    output:
        expand(f"{OWN.master}/{{name}}.parquet", name=PLAN.files.master_tables()),
        expand(f"{OWN.master}/{{name}}.md", name=PLAN.files.paper_tables()),
        expand(f"{OWN.master}/{{name}}.csv", name=PLAN.files.working_tables()),
        report(
            expand(f"{OWN.master}/{{name}}.csv", name=PLAN.files.report_tables()),
            caption="../reports/captions/tables.rst",
            category="Tables",
        ),
    log:
        f"logs/summarize/{RUN}.log",
    # The long way to the end: these tables and the figures side by side, then the pages. One thread, or on two cores one would wait for the other.
    priority: 10
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        grid=PLAN.selection().to_json(),
        seed=PLAN.config.statistics.seed,
        facts=PLAN.reruns.facts(),
        code=lambda wildcards: PLAN.reruns.summary_code("summarize.py"),
    shell:
        SCRIPT + "summarize.py --grid {params.grid:q} --seed {params.seed}"
        " --quality {input.quality:q} --distribution {input.distribution:q} --out {params.folder:q} 2> {log:q}"


rule results:
    input:
        rules.summarize.output,
        rules.cost.output,
        expand(rules.figures.output, dataset=PLAN.datasets),
        PLAN.files.examples(),
        PLAN.files.asked_tables(),
