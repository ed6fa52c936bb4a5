# everything of one dataset -> its figures


rule figures:
    input:
        similarity=lambda wildcards: PLAN.selection(wildcards.dataset).similarity(),
        images=lambda wildcards: PLAN.selection(wildcards.dataset).images(),
        crops=lambda wildcards: PLAN.selection(wildcards.dataset).crops(),
        embeddings=lambda wildcards: PLAN.selection(wildcards.dataset).embeddings(),
    output:
        [
            (
                report(
                    f"{OWN.figures}/{{dataset}}/{entry.path}",
                    caption=f"../reports/captions/{entry.caption}.rst",
                    category="{dataset}",
                    subcategory=entry.subcategory,
                    labels=entry.labels,
                )
                if entry.caption
                else f"{OWN.figures}/{{dataset}}/{entry.path}"
            )
            for entry in PLAN.figures()
        ],
    log:
        f"logs/figures/{RUN}/{{dataset}}.log",
    priority: 20  # what the pages wait for longest
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        folder=lambda wildcards: f"{OWN.figures}/{wildcards.dataset}",
        grid=lambda wildcards: PLAN.selection(wildcards.dataset).to_json(),
        notice=lambda wildcards: PLAN.notice(wildcards.dataset),
        credit=lambda wildcards: PLAN.credit(wildcards.dataset),
        edges=lambda wildcards: PLAN.sources.yaw_edges(wildcards.dataset),
        code=lambda wildcards: PLAN.reruns.summary_code("viz.py"),
        looks=PLAN.reruns.looks(),
    shell:
        SCRIPT
        + "viz.py --all --grid {params.grid:q} --notice {params.notice} --credit={params.credit:q} --yaw-bins {params.edges}"
        " --out {params.folder:q} 2> {log:q}"
