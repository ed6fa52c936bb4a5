# images for people


rule export_references:
    input:
        tables=lambda wildcards: PLAN.files.images(wildcards.dataset),
        roles=lambda wildcards: str(PLAN.files.first_cell(wildcards.dataset).similarity),
    output:
        directory(f"{OWN.references}/{{dataset}}"),
    log:
        f"logs/export/GT/{RUN}/{{dataset}}.log",
    priority: -10  # nothing waits for them
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        role="reference",
        limit=PLAN.config.examples,
        code=lambda wildcards: PLAN.reruns.summary_code("export.py"),
    shell:
        SCRIPT
        + "export.py --in {input.tables:q} --roles-from {input.roles:q} --role {params.role}"
        " --limit {params.limit} --out {output:q} > {log:q}"


use rule export_references as export_probes with:
    output:
        directory(f"{OWN.probes}/{{dataset}}"),
    log:
        f"logs/export/angled/{RUN}/{{dataset}}.log",
    params:
        role="probe",
        limit=PLAN.config.examples,
        code=lambda wildcards: PLAN.reruns.summary_code("export.py"),


use rule export_probes as export_frontals with:
    input:
        tables=lambda wildcards: PLAN.files.frontals(
            wildcards.dataset, wildcards.frontalizer
        ),
        roles=lambda wildcards: str(PLAN.files.first_cell(wildcards.dataset).similarity),
    output:
        directory(f"{OWN.frontals}/{{dataset}}/{{frontalizer}}"),
    log:
        f"logs/export/frontal/{RUN}/{{dataset}}/{{frontalizer}}.log",
