"""``frontalbench COMMAND ...``: the command of the installed package.

``init``, ``doctor`` and ``list`` are its own; every command of :mod:`frontalbench.commands` has a door here under its name, as it has one in
``workflow/scripts`` for the rules. Both call the same function: the same options, messages and exit codes. ``make-report`` is a shell script alone.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import os
import sys
import textwrap
from pathlib import Path

import frontalbench
from frontalbench import cli, commands
from frontalbench.catalogue import cards, validation
from frontalbench.console import project
from frontalbench.errors import BadInput, FrontalbenchError

NAMES = {
    "preprocess": "detect",
    "extract_embeddings": "embed",
    "compute_similarity": "compare",
    "diff_results": "diff",
    "join_results": "join",
    "search_results": "search",
    "slice_results": "slices",
}
"""Scripts whose command is not simply their name with hyphens. The script's own name works too."""
FIRST = (
    "preprocess",
    "frontalize",
    "enhance",
    "extract_embeddings",
    "compute_similarity",
    "verify",
    "summarize",
    "similarity",
    "inference",
    "measure_pose",
    "pose_page",
)
"""Scripts for plain folders, in the order in which one uses them."""
NO_DOOR = ("bootstrap", "write_pages")
"""Scripts for a checkout alone: what runs before anything is installed, and the tables of README and docs."""
ALIASES = {"csim": "similarity", "identity-similarity": "similarity", "ids": "similarity", "id-retrieval": "similarity"}
"""Other names under which people look for a command."""
OWN = {
    "init": "Lay out a working folder: Snakefile, rules, scripts, configuration, cards, demo.",
    "doctor": "Look whether this machine has what is needed; one line per check, with what to do.",
    "list": "List cards: what there is, how far it is verified, whether its weights are here.",
}


def main(argv: list[str] | None = None) -> None:
    """Run the command line ``argv`` (default: the process's own) and leave the process as :func:`frontalbench.cli.run` does."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if not arguments or arguments[0] in ("-h", "--help", "help"):
            sys.stdout.write(overview())
            sys.exit(cli.EXIT_OK if arguments else cli.EXIT_BAD_INPUT)
        name, rest = arguments[0], arguments[1:]
        if name in ("-V", "--version"):
            sys.stdout.write(f"frontalbench {frontalbench.__version__}\n")
            sys.exit(cli.EXIT_OK)
        if name not in OWN:
            _open_door(name, rest)
            return
    except FrontalbenchError as error:
        cli.fail(str(error))
    own = {"init": _init, "doctor": _doctor, "list": _list}[name]
    cli.run(lambda: own(rest))


def doors() -> dict[str, Path]:
    """Command -> the file behind it, a module of :mod:`frontalbench.commands` or a shell script; those for plain folders first."""
    modules = Path(commands.__file__).parent.glob("[!_]*.py")
    found = {path.stem: path for path in sorted([*modules, *project.scripts().glob("*.sh")], key=lambda path: path.stem)}
    order = [*(stem for stem in FIRST if stem in found), *(stem for stem in found if stem not in FIRST)]
    return {NAMES.get(stem, stem.replace("_", "-")): found[stem] for stem in order}


def overview() -> str:
    """What ``frontalbench --help`` prints."""
    known = doors()
    width = max(map(len, [*OWN, *known])) + 2
    plain = [command for command, path in known.items() if path.stem in FIRST]
    parts = (
        ("the package", OWN),
        ("plain folders of images", {command: _first_sentence(known[command]) for command in plain}),
        ("the workflow", {command: _first_sentence(path) for command, path in known.items() if command not in plain}),
    )
    lines = [
        "usage: frontalbench COMMAND [options]      frontalbench COMMAND --help      frontalbench --version",
        "",
        "Does turning an angled face to the front keep the person's identity? The workflow itself: frontalbench init DIR, then snakemake there.",
    ]
    for title, entries in parts:
        lines += ["", f"{title}:", *(f"  {command:<{width}}{text}" for command, text in entries.items())]
    return "\n".join(lines) + "\n"


def _first_sentence(script: Path) -> str:
    """The first line of what the script says about itself."""
    text = script.read_text(encoding="utf-8")
    if script.suffix == ".py":
        return _short((ast.get_docstring(ast.parse(text)) or "").partition("\n")[0])
    comments = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#") and not line.startswith("#!")]
    return _short(comments[0] if comments else "")


def _short(text: str) -> str:
    return textwrap.shorten(text, 110, placeholder=" ...")


def _open_door(name: str, arguments: list[str]) -> None:
    """Run the command ``name``, which ends the process. Raises :class:`BadInput` when there is none."""
    known = doors()
    spelt = {**{path.stem: command for command, path in known.items()}, **{path.stem.replace("_", "-"): c for c, path in known.items()}}
    command = name if name in known else (spelt | ALIASES).get(name)
    if command is None:
        raise BadInput(f"no command '{name}'{validation.did_you_mean(name, [*OWN, *known])}; frontalbench --help lists all")
    script = known[command]
    if script.suffix == ".sh":
        os.execvp("bash", ["bash", str(script), *arguments])
    sys.argv = [f"frontalbench {command}", *arguments]  # usage lines take the command's name from there
    cli.run(importlib.import_module(f"{commands.__name__}.{script.stem}").main)


def _init(arguments: list[str]) -> int:
    parser = cli.parser(
        "Lay out a working folder.\n\n"
        "  frontalbench init mystudy && cd mystudy && snakemake --cores 4      the demo\n\n"
        "The files are copies: change config/, profiles/ and cards as you like. After an upgrade of the package, --update brings the new version's\n"
        "files and leaves alone what you changed.",
        prog="frontalbench init",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new or empty folder (with --update: one that was laid out before)")
    parser.add_argument("--update", action="store_true", help="bring the files of the installed version; what you changed stays")
    args = parser.parse_args(arguments)
    laid = project.lay_out(args.folder, update=args.update)
    for name in laid.kept:
        sys.stderr.write(f"kept: {name} (changed here, and new in this version: compare with {project.shipped() / name})\n")
    counts = (
        f"{len(laid.new)} files" if not args.update else f"{len(laid.new)} new, {len(laid.replaced)} replaced, {len(laid.removed)} removed"
    )
    sys.stderr.write(f"{args.folder}: {counts}; next: cd {args.folder} && snakemake --cores {os.cpu_count() or 1}\n")
    return cli.EXIT_OK


def _doctor(arguments: list[str]) -> int:
    from frontalbench.console import doctor, lacking

    parser = cli.parser(
        "Look whether this machine has what is needed: a line per check.\nExit code 1 when something must be mended before a run.\n\n"
        "  frontalbench doctor --cards            per frontalizer: what is missing here, in the order in which one mends it\n"
        "  frontalbench doctor --cards xportrait  of this one; exit code 1 when it cannot run here",
        prog="frontalbench doctor",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="whose cards' weights to look for (default: config/config.yaml)")
    parser.add_argument("--offline", action="store_true", help="do not ask the network whether missing weights are within reach")
    parser.add_argument(
        "--cards",
        nargs="*",
        metavar="NAME",
        help="instead: what each frontalizer lacks here (weights, environment, repository, GPU, licence to accept); default: all of them",
    )
    args = parser.parse_args(arguments)
    worst = cli.EXIT_OK
    if args.cards is not None:
        for standing in lacking.standings(args.cards, gpu=doctor.has_gpu()):
            sys.stdout.write(f"{standing}\n")
            worst = max(worst, int(bool(args.cards) and not standing.ready))
        return worst
    for check in doctor.checks(args.config, network=not args.offline):
        sys.stdout.write(f"{check}\n")
        sys.stdout.flush()
        worst = max(worst, int(check.word == doctor.BROKEN))
    return worst


def _list(arguments: list[str]) -> int:
    from frontalbench.console import listing

    kinds = listing.kinds()
    parser = cli.parser(
        "List cards.\n\n"
        "  frontalbench list frontalizers --verified golden\n"
        "  frontalbench list backbones --weights present --names      for scripts: a name per line",
        prog="frontalbench list",
    )
    parser.add_argument("kind", nargs="?", type=_kind, metavar="KIND", help=f"one of: {', '.join(kinds)} (default: all models)")
    parser.add_argument(
        "--verified", nargs="+", choices=listing.LEVELS, metavar="LEVEL", help=f"only these levels: {', '.join(listing.LEVELS)}"
    )
    parser.add_argument("--weights", choices=("present", "mirror", "absent"), help="only cards whose weights are so")
    parser.add_argument("--names", action="store_true", help="names alone, one a line")
    args = parser.parse_args(arguments)
    rows = listing.rows(args.kind, verified=args.verified, weights=args.weights)
    sys.stdout.write(listing.names(rows) if args.names else listing.table(rows))
    return cli.EXIT_OK


def _kind(text: str) -> str:
    from frontalbench.console import listing

    kinds = listing.kinds()
    if text in kinds:
        return text
    if text in cards.FOLDERS:
        return cards.FOLDERS[text]
    near = difflib.get_close_matches(text, kinds, n=1)
    raise argparse.ArgumentTypeError(f"no kind of card '{text}'{f', did you mean {near[0]}?' if near else ''}; kinds: {', '.join(kinds)}")
