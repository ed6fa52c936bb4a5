# Make room; asked for by name: snakemake --cores 1 clean_pictures


rule clean_pictures:
    log:
        "logs/clean_pictures.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    shell:
        SCRIPT + "clean.py 2> {log:q}"
