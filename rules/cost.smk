# seconds and memory of the images, master tables -> what each frontalizer costs, and the comparison of frontalizers


rule cost:
    input:
        images=PLAN.files.made_images(),
        crops=PLAN.files.timed_crops(),
        gains=f"{OWN.master}/table1_net_gain.parquet",
        quality=f"{OWN.master}/quality.parquet",
    output:
        expand(f"{OWN.cost}/{{name}}.parquet", name=["cost", "comparison"]),
        f"{OWN.cost}/comparison.md",
        report(
            expand(f"{OWN.cost}/{{name}}.csv", name=["cost", "comparison"]),
            caption="../reports/captions/cost_tables.rst",
            category="Tables",
        ),
    log:
        f"logs/cost/{RUN}.log",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        master=lambda wildcards, input: Path(input.gains).parent,
        folder=lambda wildcards, output: Path(output[0]).parent,
        grid=PLAN.selection().to_json(),
        locator=PLAN.config.locator,
        cards=PLAN.reruns.card_texts(),
        code=lambda wildcards: PLAN.reruns.summary_code("cost.py"),
    shell:
        SCRIPT
        + "cost.py --grid {params.grid:q} --locator {params.locator:q} --master {params.master:q} --out {params.folder:q} > {log:q}"
