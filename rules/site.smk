# master tables, figures and images -> pages that open from a folder


rule site:
    input:
        master=expand(f"{OWN.master}/{{name}}.parquet", name=PLAN.files.master_tables()),
        cost=rules.cost.output,
        figures=expand(rules.figures.output[0], dataset=PLAN.datasets),  # one job makes all of a dataset
        similarity=[str(cell.similarity) for cell in PLAN.cells],
        images=PLAN.selection().images(),
        asked=PLAN.files.asked_tables(),
    output:
        directory(OWN.site),
    log:
        f"logs/site/{RUN}.log",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        master=lambda wildcards, input: Path(input.master[0]).parent,
        figures=lambda wildcards: OWN.figures,
        cost=lambda wildcards, input: Path(input.cost[0]).parent,
        grid=PLAN.selection().to_json(),
        asked=PLAN.files.asked_folders(),
        cards=PLAN.reruns.card_texts(),
        code=lambda wildcards: PLAN.reruns.summary_code("build_site.py"),
    shell:
        SCRIPT
        + "build_site.py --grid {params.grid:q} --master {params.master:q} --figures {params.figures:q} --cost {params.cost:q} {params.asked} --out {output:q} > {log:q}"


# snakemake --cores 1 where: the folders of this configuration
rule where:
    log:
        "logs/where.log",
    conda:
        "../envs/core.yaml"
    params:
        said=PLAN.places.lines(),
    shell:
        "printf '%s\\n' {params.said:q} 2> {log:q}"
