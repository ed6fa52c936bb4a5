# embeddings of a variant and of `original` -> similarities of one cell


rule compare:
    input:
        images="results/metadata/{dataset}/images.parquet",
        pose="results/metadata/{dataset}/pose.parquet",
        embeddings=lambda wildcards: PLAN.files.embeddings(
            wildcards.dataset,
            variant.parse(wildcards.judged).probes,
            wildcards.detector,
            wildcards.backbone,
        ),
        turned=lambda wildcards: PLAN.files.turned(
            wildcards.dataset,
            wildcards.judged,
            wildcards.detector,
            wildcards.backbone,
        ),
        references=lambda wildcards: PLAN.files.embeddings(
            wildcards.dataset, ORIGINAL, wildcards.detector, wildcards.backbone
        ),
        mirrored=lambda wildcards: PLAN.files.second(
            wildcards.dataset, wildcards.judged, wildcards.detector, wildcards.backbone
        ),
        quality=lambda wildcards: PLAN.files.seen_by_gate(
            wildcards.dataset, wildcards.judged
        ),
        feature=lambda wildcards: [
            receipt
            for name in PLAN.cards.features(wildcards.judged, wildcards.backbone)
            for receipt in PLAN.cards.receipt("feature", name)
        ],
    output:
        similarity="results/similarity/{dataset}/{judged}/{detector}/{backbone}.parquet",
        scores="results/similarity/{dataset}/{judged}/{detector}/{backbone}.scores.parquet",
    log:
        "logs/compare/{dataset}/{judged}/{detector}/{backbone}.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=5,
    params:
        roles=lambda wildcards: PLAN.sources.roles(wildcards.dataset),
        matched=lambda wildcards: (
            [f"--yaw-bins {PLAN.sources.yaw_edges(wildcards.dataset)}"]
            if variant.parse(wildcards.judged).turned
            else []
        ),
        code=lambda wildcards: PLAN.reruns.code(
            "compare", "compare_cell.py", schema="similarity"
        ),
        feature=lambda wildcards: [
            f"--feature {name}"
            for name in PLAN.cards.features(wildcards.judged, wildcards.backbone)
        ],
        card=lambda wildcards: [
            PLAN.reruns.digest("feature", name)
            for name in PLAN.cards.features(wildcards.judged, wildcards.backbone)
        ],
    shell:
        SCRIPT
        + "compare_cell.py --variant {wildcards.judged:q} --roles {params.roles:q} --threads {threads} {params.feature}"
        " --images {input.images:q} --pose {input.pose:q} --embeddings {input.embeddings:q} --references {input.references:q}"
        " --turned {input.turned:q} {params.matched} --quality {input.quality:q} --mirrored {input.mirrored:q}"
        " --out {output.similarity:q} --scores-out {output.scores:q} 2> {log:q}"
