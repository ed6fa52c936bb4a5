# master tables, figures and pictures -> pages that open from a folder


rule site:
    input:
        master=expand("results/master/{name}.parquet", name=PLAN.master_tables()),
        cost=rules.cost.output,
        figures=expand(rules.figures.output[0], dataset=PLAN.datasets),  # one job makes all of a dataset
        similarity=[cell.similarity for cell in PLAN.cells],
        pictures=PLAN.selection().pictures(),
    output:
        directory("reports/site"),
    log:
        "logs/site.log",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        grid=PLAN.selection().to_json(),
        cards=PLAN.card_texts(),
        code=lambda wildcards: PLAN.summary_code("build_site.py"),
    shell:
        "{SCRIPT}/build_site.py --grid {params.grid:q} --master results/master --figures results/figures --cost results/cost --out {output:q} > {log:q}"
