# aligned crops of a variant and of `original` -> quality of the images


rule measure_quality:
    input:
        unpack(
            lambda wildcards: PLAN.files.beyond_crops(
                wildcards.dataset, wildcards.variant
            )
        ),
        images="results/metadata/{dataset}/images.parquet",
        original_pose="results/metadata/{dataset}/pose.parquet",
        crops=lambda wildcards: PLAN.files.crops(
            wildcards.dataset, wildcards.variant, wildcards.detector
        ),
        original_crops=lambda wildcards: PLAN.files.crops(
            wildcards.dataset, ORIGINAL, wildcards.detector
        ),
        weights=lambda wildcards: PLAN.cards.quality_receipts(wildcards.variant),
    output:
        "results/quality/{dataset}/{variant}/{detector}.parquet",
    log:
        "logs/measure_quality/{dataset}/{variant}/{detector}.log",
    priority: -5  # the figures do not wait for it
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        roles=lambda wildcards: PLAN.sources.roles(wildcards.dataset),
        learned=[f"--measure {word}" for word in PLAN.learned_measures()],
        code=lambda wildcards: PLAN.reruns.code(
            "quality", "measure_quality.py", *PLAN.cards.of_quality(), schema="quality"
        ),
        measures=PLAN.reruns.quality_meaning(),
    shell:
        SCRIPT
        + "measure_quality.py --variant {wildcards.variant:q} --roles {params.roles:q}"
        " --images {input.images:q} --original-pose {input.original_pose:q} --crops {input.crops:q}"
        " --original-crops {input.original_crops:q} --pose {input.pose:q}"
        " --whole-images {input.whole_images:q} --faces {input.faces:q} --original-whole-images {input.original_whole_images:q}"
        " --original-faces {input.original_faces:q} {params.learned} --out {output:q} 2> {log:q}"


# The same crops as a set: FID and KID against the photographed references.
rule measure_distribution:
    input:
        images=lambda wildcards: PLAN.files.images(wildcards.dataset),
        original_pose=lambda wildcards: PLAN.files.pose(wildcards.dataset, ORIGINAL),
        crops=lambda wildcards: PLAN.files.crops(
            wildcards.dataset, wildcards.variant, wildcards.detector
        ),
        original_crops=lambda wildcards: PLAN.files.crops(
            wildcards.dataset, ORIGINAL, wildcards.detector
        ),
        weights=[
            path
            for kind, name in PLAN.cards.of_quality(of_sets=True)
            for path in PLAN.cards.receipt(kind, name)
        ],
    output:
        "results/distribution/{dataset}/{variant}/{detector}.parquet",
    log:
        "logs/measure_distribution/{dataset}/{variant}/{detector}.log",
    priority: -5
    conda:
        "../envs/core.yaml"
    threads: 2
    resources:
        gpu=0,
        mem_mb=4000,
        runtime=240,
    params:
        roles=lambda wildcards: PLAN.sources.roles(wildcards.dataset),
        resamples=PLAN.config.statistics.resamples,
        seed=PLAN.config.statistics.seed,
        measures=PLAN.reruns.quality_meaning(of_sets=True),
        code=lambda wildcards: PLAN.reruns.code(
            "distribution",
            "measure_distribution.py",
            *PLAN.cards.of_quality(of_sets=True),
            schema="distribution",
        ),
    shell:
        SCRIPT
        + "measure_distribution.py --threads {threads} --gpus {resources.gpu} --roles {params.roles:q}"
        " --resamples {params.resamples} --seed {params.seed}"
        " --images {input.images:q} --original-pose {input.original_pose:q} --crops {input.crops:q}"
        " --original-crops {input.original_crops:q} --out {output:q} 2> {log:q}"
