# images -> frontals


rule frontalize:
    input:
        images="results/images/{dataset}/{shard}.parquet",
        faces=lambda wildcards: grid.crops_path(
            wildcards.dataset, ORIGINAL, PLAN.config.locator, wildcards.shard
        ),
        weights=lambda wildcards: PLAN.cards.receipt(
            "frontalizer", wildcards.frontalizer
        ),
    output:
        "results/frontals/{dataset}/{frontalizer}/{shard}.parquet",
    log:
        "logs/frontalize/{dataset}/{frontalizer}/{shard}.log",
    benchmark:
        "logs/benchmarks/frontalize/{dataset}/{frontalizer}/{shard}.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        gpu=lambda wildcards: PLAN.resources.gpus(wildcards.frontalizer),
        mem_mb=lambda wildcards, attempt: attempt
        * PLAN.resources.mem_mb(wildcards.frontalizer),
        runtime=lambda wildcards, attempt: attempt
        * PLAN.resources.minutes(
            wildcards.frontalizer, wildcards.dataset, wildcards.shard
        ),
    params:
        code=lambda wildcards: PLAN.reruns.code(
            "frontalize",
            "frontalize.py",
            ("frontalizer", wildcards.frontalizer),
            schema="frontals",
        ),
    shell:
        SCRIPT
        + "frontalize.py --model {wildcards.frontalizer:q} --threads {threads} --gpus {resources.gpu}"
        " --in {input.images:q} --faces {input.faces:q} --out {output:q} 2> {log:q}"


# the same from a folder of results that another system made (cards of family made_elsewhere): joined by name, nothing is computed
rule take_delivery:
    input:
        images="results/images/{dataset}/{shard}.parquet",
        # Only for the names of all photographs; a new person in another shard changes nothing here.
        listed=ancient("results/metadata/{dataset}/images.parquet"),
    output:
        "results/frontals/{dataset}/{frontalizer}/{shard}.parquet",
    log:
        "logs/take_delivery/{dataset}/{frontalizer}/{shard}.log",
    wildcard_constraints:
        frontalizer=PLAN.cards.elsewhere_pattern(),
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        delivered=lambda wildcards: PLAN.sources.delivered(
            wildcards.dataset, wildcards.frontalizer, wildcards.shard
        ),
        code=lambda wildcards: PLAN.reruns.code(
            "delivery",
            "take_delivery.py",
            ("frontalizer", wildcards.frontalizer),
            schema="frontals",
        ),
    shell:
        SCRIPT
        + "take_delivery.py --model {wildcards.frontalizer:q} --dataset {wildcards.dataset:q} --in {input.images:q}"
        " --listed {input.listed:q} --out {output:q} 2> {log:q}"


# the same by a foreign system in its own environment (cards of family external): one start for the whole shard
rule frontalize_external:
    input:
        images="results/images/{dataset}/{shard}.parquet",
        faces=lambda wildcards: grid.crops_path(
            wildcards.dataset, ORIGINAL, PLAN.config.locator, wildcards.shard
        ),
        weights=lambda wildcards: PLAN.cards.receipt(
            "frontalizer", wildcards.frontalizer
        ),
    output:
        "results/frontals/{dataset}/{frontalizer}/{shard}.parquet",
    log:
        "logs/frontalize/{dataset}/{frontalizer}/{shard}.log",
    benchmark:
        "logs/benchmarks/frontalize/{dataset}/{frontalizer}/{shard}.tsv"
    wildcard_constraints:
        frontalizer=PLAN.cards.external_pattern(),
    # Made before by prepare_environments; our side runs with Snakemake's own interpreter, and starts that of the environment itself.
    conda:
        lambda wildcards: PLAN.cards.conda_environment(wildcards.frontalizer)
    threads: 1
    resources:
        gpu=lambda wildcards: PLAN.resources.gpus(wildcards.frontalizer),
        mem_mb=lambda wildcards, attempt: attempt
        * PLAN.resources.mem_mb(wildcards.frontalizer),
        runtime=lambda wildcards, attempt: attempt
        * PLAN.resources.minutes(
            wildcards.frontalizer, wildcards.dataset, wildcards.shard
        ),
    params:
        made_of=lambda wildcards: PLAN.reruns.made_of(wildcards.frontalizer),
        code=lambda wildcards: PLAN.reruns.code(
            "external",
            "frontalize_external.py",
            ("frontalizer", wildcards.frontalizer),
            schema="frontals",
        ),
    shell:
        HERE
        + "frontalize_external.py --model {wildcards.frontalizer:q} --threads {threads} --gpus {resources.gpu} --made-of {params.made_of}"
        " --in {input.images:q} --faces {input.faces:q} --out {output:q} 2> {log:q}"


# one frontal of all photographs of a person's session (cards of family multiview); people never lie in two shards
rule frontalize_views:
    input:
        images="results/images/{dataset}/{shard}.parquet",
        faces=lambda wildcards: grid.crops_path(
            wildcards.dataset, ORIGINAL, PLAN.config.locator, wildcards.shard
        ),
        pose=lambda wildcards: grid.pose_path(
            wildcards.dataset, ORIGINAL, wildcards.shard
        ),
        weights=lambda wildcards: PLAN.cards.receipt(
            "frontalizer", wildcards.frontalizer
        ),
    output:
        "results/frontals/{dataset}/{frontalizer}/{shard}.parquet",
    log:
        "logs/frontalize/{dataset}/{frontalizer}/{shard}.log",
    benchmark:
        "logs/benchmarks/frontalize/{dataset}/{frontalizer}/{shard}.tsv"
    wildcard_constraints:
        frontalizer=PLAN.cards.multiview_pattern(),
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        gpu=lambda wildcards: PLAN.resources.gpus(wildcards.frontalizer),
        mem_mb=lambda wildcards, attempt: attempt
        * PLAN.resources.mem_mb(wildcards.frontalizer),
        runtime=lambda wildcards, attempt: attempt
        * PLAN.resources.minutes(
            wildcards.frontalizer, wildcards.dataset, wildcards.shard
        ),
    params:
        roles=lambda wildcards: PLAN.sources.roles(wildcards.dataset),
        code=lambda wildcards: PLAN.reruns.code(
            "views",
            "frontalize_views.py",
            ("frontalizer", wildcards.frontalizer),
            schema="frontals",
        ),
    shell:
        SCRIPT
        + "frontalize_views.py --model {wildcards.frontalizer:q} --threads {threads} --gpus {resources.gpu} --roles {params.roles:q}"
        " --in {input.images:q} --faces {input.faces:q} --pose {input.pose:q} --out {output:q} 2> {log:q}"


# Environments and repositories of the foreign systems of the grid, on a machine with a network; asked for by name, before a run:
#   snakemake --cores 1 prepare_environments
rule prepare_environments:
    log:
        "logs/prepare_environments.log",
    localrule: True
    params:
        names=" ".join(PLAN.cards.external()),
    shell:
        HERE
        + "prepare_environments.py {params.names} 2> {log:q} || (cat {log:q} >&2; exit 1)"


ruleorder: take_delivery > frontalize_external > frontalize_views > frontalize
