# The environment of `make run`, from the same pins. Build: docker build -t frontalbench .   Run: docker run --rm -v "$PWD:/work" -w /work frontalbench snakemake --cores 2
FROM python:3.11-slim-bookworm
# Debian keeps only the newest version of a package: a pin would stop building within weeks.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends git make libgl1 libglib2.0-0 libgomp1 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/frontalbench
COPY pyproject.toml constraints.txt hatch_build.py README.md LICENSE ./
COPY src ./src
RUN python -m pip install --no-cache-dir --constraint constraints.txt --editable .
COPY . .
CMD ["snakemake", "--cores", "all"]
