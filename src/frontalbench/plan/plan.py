"""What the rules ask while Snakemake builds its graph: paths, and the texts that decide whether a job reruns.

Rules hold wiring only; every question they have is a method of :class:`Plan`. Each job gets its own slice of configuration, cards and code, as short
hashes in ``params``, so that it reruns when one of them changes its meaning, and only then.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from frontalbench import datasets, tables
from frontalbench.catalogue import cards, config, external, validation
from frontalbench.catalogue.cards import ModelCard
from frontalbench.compare.feature import KIND, RECIPE, card_name
from frontalbench.datasets import layouts, licence, listing
from frontalbench.elsewhere import survey as delivery
from frontalbench.errors import BadConfig, BadInput, FrontalbenchError
from frontalbench.figures.dataset import ReportEntry, report_entries
from frontalbench.plan import fingerprint, grid, runs
from frontalbench.plan.variant import ORIGINAL, made, parse
from frontalbench.quality import measures
from frontalbench.tabulate.columns import TABLES
from frontalbench.weights import foreign, store

SCRIPTS = Path("workflow", "scripts")
_WHOLE = ("all", "results", "site", "check_weights", "summarize", "cost")
"""Targets that need every dataset."""
ALIGNMENT = "alignment"
"""The param of a frontalizer's card that asks for an alignment of its own, see :mod:`frontalbench.detect.yaw_alignment`."""
LOADING_MINUTES = 15
"""For the start of a job on a busy machine, and for loading its model."""


def configuration_layers(files: Iterable[str | os.PathLike[str]], given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What Snakemake merged into one configuration: the files, in order, then what was given on the command line.

    Raises :class:`BadConfig`, one line with file and place, where a file is not there or not YAML; a key given twice is refused too.
    """
    return [*(validation.read_yaml(Path(file)) for file in files), dict(given)]


CONFIGURATION = Path("config", "config.yaml")


def checked_configuration(base: Path) -> str:
    """The configuration that others are laid over: the working folder's own, else the one beside the Snakefile in ``base``.

    Raises :class:`BadConfig` with file and place where it is not there or no YAML: Snakemake would name neither.
    """
    path = CONFIGURATION if CONFIGURATION.is_file() else base / CONFIGURATION
    validation.read_yaml(path)
    return str(path)


def read_pairs(pairs: Iterable[str]) -> dict[str, Any]:
    """``KEY=VALUE`` texts as a configuration. Raises :class:`BadConfig`."""
    given: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise BadConfig(f"--config: '{pair}' should be KEY=VALUE")
        given |= validation.parse_yaml(f"{key.strip()}: {value}", f"--config {key.strip()}")
    return given


def merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Configurations laid over one another as Snakemake does it: mappings key by key, anything else replaced."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merged([result[key], value]) if both else value
    return result


def asks_for_everything(arguments: Sequence[str]) -> bool:
    """Whether a Snakemake command line (without its first word) runs the whole grid, and so needs every dataset.

    Not with a target that stands for a part (a path, or a rule such as ``fetch_datasets``), and not for housekeeping (``--unlock``, ``--lint``).
    """
    if any(argument.startswith(("--lint", "--list", "--unlock", "--cleanup", "--summary", "--detailed-summary")) for argument in arguments):
        return False
    named = [
        argument
        for argument in arguments
        if re.match(r"(results|reports|logs)/|(fetch|clean|train|export|draw|make)_\w+$|figures$|where$", argument)
    ]
    return not named or any(argument in _WHOLE for argument in arguments)


def script_command(base: Path, *, deployed: bool) -> str:
    """What a shell command begins with to run one of the scripts beside the Snakefile in ``base``; ``NAME.py`` follows. Braces are doubled, as
    Snakemake fills in what stands between single ones."""
    interpreter = "python" if deployed else shlex.quote(sys.executable)
    return f"{interpreter} {shlex.quote(str(base / SCRIPTS) + '/')}".replace("{", "{{").replace("}", "}}")


class Plan:
    """A configuration with its cards and datasets found; raises BadConfig (one line per problem) when a name has no card.

    ``layers``: what ``data`` was merged from (:func:`configuration_layers`); ``scripts``: the folder of the scripts that the rules run;
    ``run``: the run's name, which its own folders are called by (default: the configuration's ``name``).
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        where: str = "config",
        layers: Sequence[Mapping[str, Any]] | None = None,
        scripts: Path = SCRIPTS,
        run: str = "",
    ) -> None:
        self.run = run or runs.name_of(data)
        self.places = runs.Places(self.run)
        self.config = config.parse(dict(data), npm=shutil.which("npm") is not None, where=where, layers=layers)
        self._scripts = scripts
        self.variants = grid.variants(self.config)
        self.cells = list(grid.cells(self.config))
        self.datasets = {
            choice.name: listing.with_shards(datasets.find(choice.name).with_options(choice.options)) for choice in self.config.datasets
        }
        self.shards = {name: datasets.shard_names(card) for name, card in self.datasets.items()}
        self._notes: list[str] = []
        self._check_names(where)

    def _check_names(self, where: str) -> None:
        malformed = []
        for name in self.config.derived:
            try:
                parse(name)
            except BadConfig as error:
                malformed.append(f"{where}: derived: {error}")
        if malformed:
            raise BadConfig("\n".join(malformed))
        problems = []
        for kind, part in sorted({(kind, part) for kind, name in self._used_cards() for part in name.split("+")}):
            try:
                self.card(kind, part)
            except BadConfig as error:
                problems.append(f"{where}: {kind}: {error}")
        for name in self.config.derived:
            if parse(name).base not in self.variants:
                problems.append(
                    f"{where}: derived: '{name}' is made of a variant that is not in the grid; allowed: {', '.join(self.variants)}"
                )
            elif parse(name).turned and not problems and parse(name).frontalizer in self.elsewhere():
                problems.append(
                    f"{where}: derived: '{name}': results made elsewhere turn no references; take a card that takes a target pose"
                )
            elif parse(name).turned and not problems and not self._turns(parse(name).frontalizer):
                problems.append(
                    f"{where}: derived: '{name}': frontalizer '{parse(name).frontalizer}' turns no references, its card's contract says "
                    "target_pose: frontal; leave it out, or take a card that says any"
                )
        if problems:
            raise BadConfig("\n".join(problems))

    def check_datasets(self) -> None:
        """List every dataset's files and every folder of results made elsewhere; raises :class:`BadInput`, a line for each folder that is not there
        or holds something else."""
        problems = []
        for name in self.datasets:
            try:
                self._survey(name)
            except FrontalbenchError as error:
                problems.append(str(error))
        for name in [] if problems else self.elsewhere():
            try:
                self._deliveries(name)
            except FrontalbenchError as error:
                problems.append(str(error))
        if problems:
            raise BadInput("\n".join(problems))

    def describe(self) -> str:
        """What runs, in a few lines."""
        counted = ", ".join(f"{name} ({len(found)} shards)" for name, found in self.shards.items())
        return "\n".join(
            [
                f"datasets: {counted}",
                f"variants: {', '.join([*self.variants, *self.config.derived])}",
                f"judges: {', '.join(f'{d} + {b}' for d in self.config.detectors for b in self.config.backbones)}",
                f"{len(self.cells)} cells; what runs first and how many jobs: snakemake -n --quiet rules",
            ]
        )

    # Cards ------------------------------------------------------------------------------------------------------------

    @functools.cache  # noqa: B019 - one plan per process
    def card(self, kind: str, name: str) -> ModelCard:
        return cards.find(kind, name)

    @functools.cache  # noqa: B019 - one plan per process
    def receipt(self, kind: str, name: str) -> list[str]:
        """The receipts that a job using this card waits for (none when no weights are needed)."""
        parts = name.split("+") if kind == "enhancement" else [name]
        needy = (part for part in parts if store.requirements([self.card(kind, part)]) or self.card(kind, part).family == external.FAMILY)
        return [f"{grid.RESULTS}/weights/{kind}/{part}.json" for part in needy]

    def receipts(self) -> list[str]:
        """Every receipt of the grid."""
        return sorted({path for kind, name in self._used_cards() for path in self.receipt(kind, name)})

    def _used_cards(self) -> list[tuple[str, str]]:
        """(kind, name) of everything that the grid runs; names of enhancements may be chains."""
        chosen = self.config
        return [
            *(
                ("detector", name)
                for name in (*chosen.detectors, chosen.locator, *((chosen.quality.detector,) if chosen.quality.measures else ()))
            ),
            *(("backbone", name) for name in chosen.backbones),
            *(("frontalizer", choice.name) for choice in chosen.frontalizers),
            *(("enhancement", chain) for choice in chosen.frontalizers for chain in choice.enhancements),
            ("pose", chosen.pose),
            *self.quality_cards(),
            *self.quality_cards(of_sets=True),
            *((KIND, name) for variant in chosen.derived for backbone in chosen.backbones for name in self.features(variant, backbone)),
        ]

    def _turns(self, frontalizer: str) -> bool:
        """Whether a frontalizer takes any target pose. A card without a contract may: its job says so when it has loaded the model."""
        contract = self.card("frontalizer", frontalizer).contract
        return contract is None or contract.target_pose == "any"

    def features(self, variant: str, backbone: str) -> list[str]:
        """The feature map's card of a derived variant's cell, if the variant asks for one and the backbone has one."""
        wanted = parse(variant).recipe == RECIPE and card_name(backbone) in self._feature_names()
        return [card_name(backbone)] if wanted else []

    @functools.cache  # noqa: B019 - one plan per process
    def _feature_names(self) -> frozenset[str]:
        return frozenset(card.name for card in cards.all_cards(KIND))

    def weights_state(self, kind: str, name: str) -> str:
        """Changes when a fetch that failed before could succeed now without the network: its files have appeared on this machine."""
        path = Path(grid.RESULTS, "weights", kind, f"{name}.json")
        if not path.is_file():
            return ""
        receipt = json.loads(path.read_text(encoding="utf-8"))
        if receipt["status"] == "ok":
            return ""
        card = self.card(kind, name)
        lacks = foreign.lacks(card) if card.family == external.FAMILY else []
        return "present" if store.available(card) and not lacks else ""

    @functools.cache  # noqa: B019 - one plan per process
    def digest(self, kind: str, name: str) -> str:
        """Hash of what a card (or a chain of enhancements) says about results."""
        parts = name.split("+") if kind == "enhancement" else [name]
        return "+".join(self.card(kind, part).digest()[:16] for part in parts)

    # Code -------------------------------------------------------------------------------------------------------------

    @functools.cache  # noqa: B019 - one plan per process
    def code(self, stage: str, script: str, *used: tuple[str, str], schema: str = "", dataset: str = "") -> str:
        """Fingerprint of what is behind a job: the code of its stage, of its script and of the families of the cards it ``used`` (kind, name), what
        these cards say about results, the columns of its table, and the code of the layout of the ``dataset`` that it lists."""
        modules = [f"frontalbench.stages.{stage}"]
        if dataset:
            modules.append(layouts.target(self.datasets[dataset].layout)[0])
        waiting = [self.card(kind, part) for kind, name in used for part in name.split("+")]
        while waiting:
            card = waiting.pop()
            modules.append(fingerprint.family_module(card.kind, card.family))
            waiting += [cards.find_any(name) for name in card.uses]
        shape = str(tables.SCHEMAS[schema]) if schema else ""
        return fingerprint.code_fingerprint(modules, self._scripts / script, [shape, *(self.digest(kind, name) for kind, name in used)])

    def external(self) -> list[str]:
        """The frontalizers of the grid that are foreign systems in their own environment."""
        return [choice.name for choice in self.config.frontalizers if self.card("frontalizer", choice.name).family == external.FAMILY]

    def external_pattern(self) -> str:
        """A regular expression for their names, which matches nothing where there are none."""
        return "|".join(map(re.escape, self.external())) or "(?!)"

    @functools.cache  # noqa: B019 - one plan per process
    def made_of(self, frontalizer: str) -> str:
        """Hash of what makes the pictures of a foreign system beside its card: commit, environment, adapter."""
        return external.read(self.card("frontalizer", frontalizer)).digest()[:16]

    def conda_environment(self, frontalizer: str) -> str | None:
        """The conda environment that was made for a foreign system, for Snakemake to activate; None for a virtual environment and for none."""
        folder = foreign.environment_folder(external.read(self.card("frontalizer", frontalizer)))
        return str(folder) if (folder / "conda-meta").is_dir() else None

    # Resources --------------------------------------------------------------------------------------------------------

    def mem_mb(self, frontalizer: str) -> int:
        """Memory that a job of this frontalizer asks for, as its card says."""
        return self.card("frontalizer", frontalizer).resources.mem_mb

    def gpus(self, frontalizer: str) -> int:
        """GPUs that a job of this frontalizer asks for by itself: 1 where its card requires one. A profile may give one to the others, too."""
        return int(self.card("frontalizer", frontalizer).resources.gpu == "required")

    def minutes(self, frontalizer: str, dataset: str, shard: str, *, turning: bool = False) -> int:
        """Minutes that a job of this frontalizer asks for: loading, and the shard's images by the rate on its card.

        ``turning``: its references are turned to every angle. At most half of the images are references (who has one has a probe, too, or is in no
        cell), and there are two angles for each bin of |yaw| but the first.
        """
        try:
            images = self._survey(dataset).counts[shard]
        except FrontalbenchError:  # a node of a cluster that does not see the pictures
            images = 2 * listing.PER_SHARD
        if turning:
            images *= max(1, len(self.datasets[dataset].yaw_bins) - 2)
        return LOADING_MINUTES + math.ceil(images * self.card("frontalizer", frontalizer).resources.minutes_per_1000 / 1000)

    # Datasets ---------------------------------------------------------------------------------------------------------

    def members(self, dataset: str, shard: str) -> str:
        """Fingerprint of the files of one shard: names and contents."""
        return self._survey(dataset).fingerprints[shard]

    @functools.cache  # noqa: B019 - one plan per process
    def _survey(self, dataset: str) -> listing.Survey:
        survey = listing.survey(self.datasets[dataset])
        if survey.note:
            self._notes.append(survey.note)
        return survey

    def elsewhere(self) -> list[str]:
        """The frontalizers of the grid that are folders of results made elsewhere."""
        return [choice.name for choice in self.config.frontalizers if self.card("frontalizer", choice.name).family == delivery.FAMILY]

    def elsewhere_pattern(self) -> str:
        """A regular expression for their names, which matches nothing where there are none."""
        return "|".join(map(re.escape, self.elsewhere())) or "(?!)"

    def delivered(self, dataset: str, frontalizer: str, shard: str) -> str:
        """Fingerprint of the results that were delivered for one shard: which photograph has one, and its content."""
        return self._deliveries(frontalizer)[dataset][shard]

    @functools.cache  # noqa: B019 - one plan per process
    def _deliveries(self, frontalizer: str) -> Mapping[str, Mapping[str, str]]:
        found = delivery.survey(self.card("frontalizer", frontalizer), self.datasets)
        self._notes += found.notes
        return found.fingerprints

    def notes(self) -> list[str]:
        """A line for each dataset looked at so far of whose folder something was not used, and for each folder of results made elsewhere."""
        return sorted(self._notes)

    def dataset_options(self, dataset: str) -> str:
        """The options of this dataset in the configuration, as JSON for the command line."""
        choice = next(item for item in self.config.datasets if item.name == dataset)
        return json.dumps({**choice.options, "shards": self.datasets[dataset].shards}, sort_keys=True)

    def roles(self, dataset: str) -> str:
        """The role rule of a dataset's card, as JSON for the command line."""
        return json.dumps(dict(self.datasets[dataset].roles), sort_keys=True)

    def yaw_edges(self, dataset: str) -> str:
        """Edges of a dataset's bins of |yaw|, for a command line."""
        return " ".join(f"{edge:g}" for edge in self.datasets[dataset].yaw_bins)

    # Paths ------------------------------------------------------------------------------------------------------------

    def over_shards(self, path: Any, dataset: str, *parts: str) -> list[str]:
        """``path(dataset, *parts, shard)`` for every shard of a dataset."""
        return [path(dataset, *parts, shard) for shard in self.shards[dataset]]

    def images(self, dataset: str) -> list[str]:
        return self.over_shards(grid.pictures_path, dataset, ORIGINAL)

    def pose(self, dataset: str, variant: str) -> list[str]:
        return self.over_shards(grid.pose_path, dataset, variant)

    def embeddings(self, dataset: str, variant: str, detector: str, backbone: str) -> list[str]:
        return self.over_shards(grid.embeddings_path, dataset, variant, detector, backbone)

    def turned(self, dataset: str, judged: str, detector: str, backbone: str) -> list[str]:
        """Embeddings of the turned references of a pose-matched cell; none for any other."""
        variant = parse(judged).turned
        return self.embeddings(dataset, variant, detector, backbone) if variant else []

    def matched_options(self, dataset: str, judged: str) -> str:
        """Options of compare_cell.py that only a pose-matched cell needs, so that no other cell reruns for them."""
        return f"--yaw-bins {self.yaw_edges(dataset)}" if parse(judged).turned else ""

    @functools.cache  # noqa: B019 - one plan per process
    def aligning(self, variant: str) -> tuple[tuple[str, str], ...]:
        """(kind, name) of the card that asks for an alignment of a variant's pictures: its frontalizer's, or none."""
        frontalizer = parse(variant).frontalizer
        asks = frontalizer and ALIGNMENT in self.card("frontalizer", frontalizer).params
        return (("frontalizer", frontalizer),) if asks else ()

    def alignment_receipts(self, variant: str) -> list[str]:
        """The receipts that aligning a variant's pictures waits for, beside the detector's."""
        return [path for card in self.aligning(variant) for path in self.receipt(*card)]

    def alignment_options(self, variant: str) -> str:
        """Options of preprocess.py for pictures that are aligned as their frontalizer's card asks."""
        return " ".join(f"--aligned-for {name}" for _, name in self.aligning(variant))

    def crops(self, dataset: str, variant: str, detector: str) -> list[str]:
        return self.over_shards(grid.crops_path, dataset, variant, detector)

    def frontals(self, dataset: str, frontalizer: str) -> list[str]:
        return [grid.pictures_path(dataset, made(frontalizer), shard) for shard in self.shards[dataset]]

    def made_pictures(self) -> list[str]:
        """The pictures of every variant but the originals."""
        return [path for d in self.datasets for v in self.variants if v != ORIGINAL for path in self.over_shards(grid.pictures_path, d, v)]

    def timed_crops(self) -> list[str]:
        """The crops whose making belongs to the cost of a frontalizer: the photographs' by the locator, and those that are aligned in its own way."""
        found = [path for d in self.datasets for path in self.crops(d, ORIGINAL, self.config.locator)]
        own = [v for v in self.variants if self.aligning(v)]
        return found + [
            path for d in self.datasets for v in own for detector in self.config.detectors for path in self.crops(d, v, detector)
        ]

    def first_cell(self, dataset: str) -> grid.Cell:
        """The cell of the originals that the resolved roles are read from."""
        return grid.cell(dataset, ORIGINAL, self.config.detectors[0], self.config.backbones[0])

    # Quality ----------------------------------------------------------------------------------------------------------

    def quality_tables(self) -> list[str]:
        """The quality tables of the grid: every variant with pixels of its own, by one detector; none when nothing is to be measured."""
        if not self.config.quality.measures:
            return []
        return [grid.quality_path(d, v, self.config.quality.detector) for d in self.datasets for v in self.variants]

    def distribution_tables(self) -> list[str]:
        """The tables of FID and KID of the same variants; none when they were not asked for."""
        if not measures.asked(self.config.quality.measures, of_sets=True):
            return []
        return [grid.distribution_path(d, v, self.config.quality.detector) for d in self.datasets for v in self.variants]

    def quality_cards(self, *, of_sets: bool = False) -> list[tuple[str, str]]:
        """Cards that the quality tables (``of_sets``: the tables of FID and KID) stand on besides the crops."""
        return [measure.card for measure in measures.asked(self.config.quality.measures, of_sets=of_sets) if measure.card]

    def quality_meaning(self, *, of_sets: bool = False) -> list[str]:
        """What decides the values of the quality tables (``of_sets``: of FID and KID) besides their inputs and code: a text per measure."""
        asked = measures.asked(self.config.quality.measures, of_sets=of_sets)
        return [f"{measure.meaning()} {self.digest(*measure.card) if measure.card else ''}".rstrip() for measure in asked]

    def _quality_files(self, dataset: str, variant: str) -> dict[str, list[str]]:
        """Option of measure_quality.py -> the tables behind it, for the measures beyond the crops.

        An enhancement does not turn a head, so the residual pose is measured on the plain frontals only.
        """
        files: dict[str, list[str]] = {}
        if "pose" in self.config.quality.measures and (variant == ORIGINAL or parse(variant).is_plain):
            files["pose"] = self.pose(dataset, variant)
        if "expression" in self.config.quality.measures and variant != ORIGINAL:
            for prefix, one in (("", variant), ("original-", ORIGINAL)):
                files[f"{prefix}pictures"] = self.over_shards(grid.pictures_path, dataset, one)
                files[f"{prefix}faces"] = self.crops(dataset, one, self.config.locator)
        return files

    def quality_inputs(self, dataset: str, variant: str) -> list[str]:
        """What :func:`quality_options` names, and the receipts of the weights."""
        used = [(kind, name) for kind, name in self.quality_cards() if kind == "quality" or variant != ORIGINAL]
        receipts = [path for kind, name in used for path in self.receipt(kind, name)]
        return [path for files in self._quality_files(dataset, variant).values() for path in files] + receipts

    def quality_options(self, dataset: str, variant: str) -> str:
        """Options of measure_quality.py for the measures beyond the crops (paths are plain: names of cards and shards)."""
        options = [f"--{option} {' '.join(files)}" for option, files in self._quality_files(dataset, variant).items()]
        options += [f"--measure {measure.word}" for measure in measures.asked(self.config.quality.measures) if measure.method]
        return " ".join(options)

    # Summaries --------------------------------------------------------------------------------------------------------

    def selection(self, *names: str) -> grid.Selection:
        """The grid of these datasets (all, when none is named), as summaries are given it."""
        return grid.Selection(
            datasets={name: self.shards[name] for name in names or self.datasets},
            variants=self.variants,
            derived=list(self.config.derived),
            detectors=list(self.config.detectors),
            backbones=list(self.config.backbones),
            yaw_bins={name: list(self.datasets[name].yaw_bins) for name in names or self.datasets},
        )

    def summary_code(self, script: str) -> str:
        """Fingerprint of the code behind a summary: its script and all that this imports."""
        path = self._scripts / script
        return fingerprint.code_fingerprint(fingerprint.imports(path), path)

    def master_tables(self) -> list[str]:
        """Names of the tables in results/master/RUN."""
        return list(TABLES)

    def paper_tables(self) -> list[str]:
        """Those of a paper's shape, also as Markdown."""
        return [name for name in TABLES if name.startswith("table")]

    def report_tables(self) -> list[str]:
        """Those that the report shows."""
        return [*self.paper_tables(), "counts", "missing", "software", "published"]

    def working_tables(self) -> list[str]:
        """The rest."""
        return [name for name in TABLES if name not in self.report_tables()]

    def facts(self) -> str:
        """What the cards say in the tables beside numbers (leaks, verification levels, synthetic people, yaw bins), as a hash."""
        named = {(kind, part) for kind, name in self._used_cards() for part in name.split("+")}
        said = {
            "models": {
                f"{kind}/{name}": [sorted(self.card(kind, name).trained_with), self.card(kind, name).data.get("verified", {}).get("level")]
                for kind, name in named
            },
            "datasets": {name: [bool(card.data.get("synthetic")), list(card.yaw_bins)] for name, card in self.datasets.items()},
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def card_texts(self) -> str:
        """Everything that the cards of the grid say, as a hash: the site shows it."""
        named = sorted({(kind, part) for kind, name in self._used_cards() for part in name.split("+")})
        said = [
            [{"kind": kind, "name": name, **self.card(kind, name).data} for kind, name in named],
            [{key: value for key, value in card.data.items() if key != "root"} for card in self.datasets.values()],
        ]
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def figures(self) -> list[ReportEntry]:
        """The figures of a dataset, the same for every dataset."""
        judges = [(detector, backbone) for detector in self.config.detectors for backbone in self.config.backbones]
        return report_entries([*self.variants, *self.config.derived], judges, len(self.datasets))

    def looks(self) -> dict[str, list[str]]:
        """What the frontalizers' cards say about how figures show them."""
        named = sorted({name for kind, name in self._used_cards() if kind == "frontalizer"})
        return {name: [str(self.card("frontalizer", name).data.get(key, "")) for key in ("role", "view")] for name in named}

    def told(self) -> dict[str, Any]:
        """What the first page of the report says of this run: names as they were run (with what `if_npm` added), and the datasets' credits."""
        return {
            "datasets": list(self.datasets),
            "variants": [name for name in self.variants if name != ORIGINAL],
            "derived": list(self.config.derived),
            "detectors": list(self.config.detectors),
            "backbones": list(self.config.backbones),
            "notices": {name: notice for name, card in self.datasets.items() if (notice := licence.notice(card.data))},
            "credits": [credit for card in self.datasets.values() if (credit := licence.credit(card.data))],
        }

    def figure_options(self, dataset: str) -> str:
        """Options of viz.py that follow from the dataset's card and the configuration."""
        card = self.datasets[dataset]
        numbers = self.config.statistics
        notice, credit = licence.notice(card.data) or "none", licence.credit(card.data)
        credited = f"--credit {shlex.quote(credit)} " if credit else ""
        return f"--notice {notice} {credited}--yaw-bins {self.yaw_edges(dataset)} --resamples {numbers.resamples} --seed {numbers.seed}"

    def examples(self) -> list[str]:
        """Folders of pictures for people."""
        folders = []
        for dataset in self.datasets:
            folders += [f"{self.places.references}/{dataset}", f"{self.places.probes}/{dataset}"]
            folders += [f"{self.places.frontals}/{dataset}/{choice.name}" for choice in self.config.frontalizers]
        return folders
