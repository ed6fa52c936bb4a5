# Make room; asked for by name: snakemake --cores 1 clean_pictures


rule clean_pictures:
    localrule: True
    log:
        "logs/clean_pictures.log",
    conda:
        "../envs/core.yaml"
    shell:
        "python workflow/scripts/clean.py 2> {log:q}"
