# Weights: each card's files are fetched once; a receipt says whether they are there. A weight out of reach does not stop the run: the cells that
# need it are written with status weights_missing, and check_weights fails at the very end with one line per missing file.


rule fetch_weights:
    output:
        "results/weights/{kind}/{card}.json",
    log:
        "logs/fetch_weights/{kind}/{card}.log",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=500,
        runtime=60,
    params:
        digest=lambda wildcards: PLAN.reruns.digest(wildcards.kind, wildcards.card),
        state=lambda wildcards: PLAN.reruns.weights_state(
            wildcards.kind, wildcards.card
        ),
    shell:
        SCRIPT
        + "fetch_weights.py --kind {wildcards.kind:q} --card {wildcards.card:q} --receipt {output:q} --allow-missing"
        " --state={params.state} 2> {log:q}"


rule check_weights:
    input:
        receipts=PLAN.cards.receipts(),
        # Everything else first: its failure ends the run, and what waits then is never made.
        rest=lambda wildcards: [*rules.results.input, *rules.site.output],
    output:
        touch(f"results/weights/complete.{RUN}"),
    log:
        f"logs/check_weights/{RUN}.log",
    conda:
        "../envs/core.yaml"
    shell:
        SCRIPT + "check_receipts.py {input.receipts:q} 2> {log:q}"
