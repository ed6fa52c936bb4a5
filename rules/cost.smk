# seconds and memory of the pictures, master tables -> what each frontalizer costs, and the comparison of frontalizers


rule cost:
    input:
        pictures=PLAN.made_pictures(),
        crops=PLAN.timed_crops(),
        gains="results/master/table1_net_gain.parquet",
        quality="results/master/quality.parquet",
    output:
        expand("results/cost/{name}.parquet", name=["cost", "comparison"]),
        "results/cost/comparison.md",
        report(
            expand("results/cost/{name}.csv", name=["cost", "comparison"]),
            caption="../reports/captions/cost_tables.rst",
            category="Tables",
        ),
    log:
        "logs/cost.log",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        grid=PLAN.selection().to_json(),
        locator=PLAN.config.locator,
        cards=PLAN.card_texts(),
        code=lambda wildcards: PLAN.summary_code("cost.py"),
    shell:
        "{SCRIPT}/cost.py --grid {params.grid:q} --locator {params.locator:q} --master results/master --out results/cost > {log:q}"
