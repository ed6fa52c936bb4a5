"""The code fingerprint sees meaning: not comments, not formatting, not file times, and only the modules that a stage uses."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from frontalbench.catalogue import cards
from frontalbench.datasets import layouts
from frontalbench.plan import fingerprint
from frontalbench.plan.plan import Plan
from frontalbench.plan.reruns import Reruns


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    # why\n    return x + 1\n",
        '"""Module."""\n\n\ndef f(x):\n    """Doc."""\n    return (x\n            + 1)\n',
        "def f( x ):\n\n    return x+1",
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(other: str) -> None:
    assert fingerprint._source_hash(other) == fingerprint._source_hash("def f(x):\n    return x + 1\n")


def test_a_changed_constant_counts() -> None:
    assert fingerprint._source_hash("def f(x):\n    return x + 2\n") != fingerprint._source_hash("def f(x):\n    return x + 1\n")


def test_the_embed_stage_does_not_depend_on_detectors_or_frontalizers() -> None:
    modules = fingerprint.closure(["frontalbench.stages.embed"])
    assert "frontalbench.stages.common" in modules
    assert not [m for m in modules if ".retinaface" in m or ".scrfd" in m or ".mesh" in m or ".weights" in m]


def test_the_frontalize_stage_does_not_depend_on_any_family() -> None:
    modules = fingerprint.closure(["frontalbench.stages.frontalize", "frontalbench.stages.turned", "frontalbench.frontalize.base"])
    assert not [m for m in modules if ".liveportrait" in m or ".mesh" in m]


def test_the_prepare_stage_depends_on_the_layout_of_its_dataset_alone() -> None:
    shared_part = fingerprint.closure(["frontalbench.stages.prepare"])
    modules = {name: layouts.target(name)[0] for name in layouts.LAYOUTS}
    assert "frontalbench.datasets.listing" in shared_part and "frontalbench.datasets.layouts" not in shared_part
    assert not shared_part & set(modules.values())
    assert not [name for name in shared_part if name.endswith((".near", ".checking"))], "what only --check needs reruns nothing"
    for name, module in modules.items():
        others = set(modules.values()) - {module}
        used = fingerprint.closure(["frontalbench.stages.prepare", module])
        assert module in used and used & others <= ({modules["csv"]} if name == "folder" else set())


def test_a_plan_counts_the_layout_of_each_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    data = yaml.safe_load((cards.project_root() / "config" / "config.yaml").read_text(encoding="utf-8"))
    plan = Plan({**data, "datasets": ["biwi", "lfw", "lfw_funneled"]})

    def codes() -> dict[str, str]:
        return {name: plan.reruns.code("prepare", "prepare_dataset.py", schema="images", dataset=name) for name in plan.datasets}

    before = codes()
    assert before["lfw"] == before["lfw_funneled"] != before["biwi"]
    hashed = fingerprint._module_hash
    monkeypatch.setattr(fingerprint, "_module_hash", lambda name: "edited" if name == "frontalbench.datasets.biwi" else hashed(name))
    Reruns.code.cache_clear()
    after = codes()
    assert {name for name in before if before[name] != after[name]} == {"biwi"}
    Reruns.code.cache_clear()


def test_a_script_counts_by_its_meaning(tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text("x = 1\n")
    before = fingerprint.code_fingerprint(["frontalbench.status"], script)
    script.write_text("# a comment\nx = 1\n")
    assert fingerprint.code_fingerprint(["frontalbench.status"], script) == before
    script.write_text("x = 2\n")
    assert fingerprint.code_fingerprint(["frontalbench.status"], script) != before


def test_schema_text_counts() -> None:
    assert fingerprint.code_fingerprint(["frontalbench.status"], None, ["a"]) != fingerprint.code_fingerprint(
        ["frontalbench.status"], None, ["b"]
    )


def test_templates_and_styles_of_a_package_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site"
    (package / "templates").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "templates" / "page.html.j2").write_text("<p>one</p>")
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    before = fingerprint._module_hash.__wrapped__("frontalbench.site")
    (package / "templates" / "page.html.j2").write_text("<p>two</p>")
    assert fingerprint._module_hash.__wrapped__("frontalbench.site") != before


def test_what_a_stage_s_script_uses_is_in_the_stage_s_fingerprint(project_root: Path) -> None:
    rules = "\n".join(path.read_text() for path in (project_root / "rules").glob("*.smk"))
    stages = re.findall(r'PLAN\.reruns\.code\(\s*"(\w+)",\s*"(\w+\.py)"', rules)
    assert len(stages) >= 10
    # Used for plain folders, or by way of a card, whose family counts.
    elsewhere = fingerprint.closure(["frontalbench.plain.folders", "frontalbench.plain.clips", "frontalbench.detect.yaw_alignment"])
    elsewhere |= {"frontalbench.stages.checking", "frontalbench.datasets.near"}  # --check writes nothing
    elsewhere |= fingerprint.closure(["frontalbench.frontalize.pasting", "frontalbench.commands.selftest"])  # clips alone; writes nothing
    elsewhere |= {"frontalbench.quality.measures"}  # what decides a value is a param of both rules, see below
    for stage, script in stages:
        (command,) = fingerprint.commands(project_root / "workflow" / "scripts" / script)
        used = fingerprint.closure([command]) - {command, "frontalbench.commands"}  # whose own code counts as the script's does
        if stage == "frontalize":  # these have rules of their own; the command takes them for a plain folder
            used -= fingerprint.closure(["frontalbench.stages.external", "frontalbench.stages.views"])
            used -= fingerprint.closure(["frontalbench.frontalize.pasting"])  # of a clip's frames
            asked = "frontalbench.commands.selftest"  # prints checks and writes no table
            used -= {asked, *fingerprint.closure(["frontalbench.console.listing", "frontalbench.frontalize.selftest"])}
        missed = used - fingerprint.closure([f"frontalbench.stages.{stage}"]) - elsewhere
        assert not missed, f"{script}: a change of {sorted(missed)} reruns nothing"


def test_a_command_that_takes_another_option_reruns_the_jobs_that_its_script_is_the_door_of(
    project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = project_root / "workflow" / "scripts" / "preprocess.py"
    before = fingerprint.code_fingerprint(["frontalbench.stages.detect"], script)
    hashed = fingerprint._module_hash
    monkeypatch.setattr(fingerprint, "_module_hash", lambda name: "edited" if name == "frontalbench.commands.preprocess" else hashed(name))
    assert fingerprint.code_fingerprint(["frontalbench.stages.detect"], script) != before
    monkeypatch.setattr(fingerprint, "_module_hash", lambda name: "edited" if name == "frontalbench.commands.enhance" else hashed(name))
    assert fingerprint.code_fingerprint(["frontalbench.stages.detect"], script) == before


def test_a_summary_s_fingerprint_follows_its_script_s_imports(project_root: Path) -> None:
    pages = fingerprint.closure(fingerprint.imports(project_root / "workflow" / "scripts" / "build_site.py"))
    assert {"frontalbench.site.build", "frontalbench.tabulate.cost"} <= pages
    pairs = fingerprint.closure(fingerprint.imports(project_root / "workflow" / "scripts" / "make_pairs.py"))
    assert {"frontalbench.synth.pairs", "frontalbench.synth.torch_generator"} <= pairs


EVERY_KIND_OF_SYNTAX = '''
def drawn(value: float, /, form: str = ".2f", *rest: int, sign=None, **more) -> str:
    """Gone."""
    return f"{value:{form}}" f"{value!r:>{len(form)}}" f"" "end" if value == value else f"none{rest=}"

class Empty(dict[str, int]):
    pass

async def later(x, *, y=()):
    async with x as z:
        match z:
            case {"a": [1, *_]} | None:
                pass
    try:
        return [await i async for i in x if not i]
    except* ValueError:
        raise
    lambda: (yield)
    return (x := -1), {**y}, 1_000j, b"\\x00", ..., x[1:, ::2], "a" "b", 1e400
'''


def test_another_python_gives_the_same_fingerprint_and_so_reruns_nothing() -> None:
    assert fingerprint._source_hash(EVERY_KIND_OF_SYNTAX) == "9677c1e0ced1c84abb3f83ce1bbb96a035786e3614ba4fff9e552c877cfb9129"


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="compares with the text that Python 3.11 gives, which older results were hashed with"
)
def test_the_text_behind_a_fingerprint_is_that_of_python_3_11(project_root: Path) -> None:
    for path in sorted((project_root / "src").rglob("*.py"))[::3]:  # every kind of syntax is above; this is how it is used
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):  # without what is left out
            for field in ("body", "orelse", "finalbody"):
                held = getattr(node, field, None)
                if isinstance(held, list):
                    kept = [
                        item for item in held if not isinstance(item, ast.Import | ast.ImportFrom) and not fingerprint._is_bare_string(item)
                    ]
                    setattr(node, field, kept or [ast.Pass()] * (field == "body"))
        assert fingerprint._dump(tree, set()) == ast.dump(tree)


def test_where_something_of_ours_is_imported_from_does_not_count_but_what_it_is_called_does() -> None:
    body = "\n\ndef f(x):\n    return tables.read(x), g(x)\n"
    before = fingerprint._source_hash(f"from frontalbench import tables\nfrom frontalbench.images import decode as g\n{body}")
    moved = "from frontalbench.files import atomic as tables\nfrom frontalbench.elsewhere.images import decode as g\n"
    assert fingerprint._source_hash(moved + body) == before, "a pure move reruns nothing"
    in_function = (
        "def f(x):\n    from frontalbench import tables\n    from frontalbench.images import decode as g\n    return tables.read(x), g(x)\n"
    )
    assert fingerprint._source_hash(in_function) == before
    for other in (
        "from frontalbench import tables\nfrom frontalbench.images import encode as g\n",
        "from frontalbench import tables as other\nfrom frontalbench.images import decode as g\n",
        "from frontalbench import tables\nfrom pillow.images import decode as g\n",
    ):
        assert fingerprint._source_hash(other + body) != before


@pytest.fixture
def rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str, str], str]]:
    """``rewritten(module, old, new)``: the fingerprint of what uses ``module`` when ``old`` reads ``new`` in it, in a copy of the package."""

    root = tmp_path / "src" / "frontalbench"
    shutil.copytree(fingerprint.ROOT, root, ignore=shutil.ignore_patterns("__pycache__", "data"))
    monkeypatch.setattr(fingerprint, "ROOT", root)

    def of(module: str, old: str, new: str) -> str:
        text = (root / module).read_text(encoding="utf-8")
        assert old in text
        (root / module).write_text(text.replace(old, new, 1), encoding="utf-8")
        for cached in (fingerprint._closure, fingerprint._tree, fingerprint._module_imports, fingerprint._module_hash):
            cached.cache_clear()
        found = fingerprint.code_fingerprint([f"frontalbench.{module.removesuffix('.py').replace('/', '.')}"])
        (root / module).write_text(text, encoding="utf-8")
        return found

    yield of
    monkeypatch.undo()
    for cached in (fingerprint._closure, fingerprint._tree, fingerprint._module_imports, fingerprint._module_hash):
        cached.cache_clear()


def test_what_a_refusal_of_the_runtime_says_reruns_nothing_but_when_it_refuses_does(rewritten: Callable[[str, str, str], str]) -> None:
    module = "runtime/sessions.py"
    before = rewritten(module, "", "")
    assert "frontalbench.runtime.sessions" in fingerprint.closure(["frontalbench.stages.embed"])
    assert rewritten(module, "is not known; use cpu", "is no device; take cpu") == before
    assert rewritten(module, "not found; fetch the model's weights first", "is missing") == before
    assert rewritten(module, "log_severity_level = 4", "log_severity_level = 2") != before, "a setting is no word"
    assert rewritten(module, 'raise BadInput(f"device', 'raise BadConfig(f"device') != before, "another error is another end"
    elsewhere = [rewritten("frontalize/mesh.py", "raise BadConfig(", new) for new in ("raise BadConfig(", 'raise BadConfig("so: " + ')]
    assert elsewhere[0] != elsewhere[1], "elsewhere words may become a row's detail"


def test_hashing_leaves_the_tree_whole_so_that_imports_are_found_afterwards() -> None:
    name = "frontalbench.stages.embed"
    fingerprint._module_hash(name)
    assert "frontalbench.stages.common" in fingerprint.closure([name])


def test_a_module_that_moves_to_another_room_changes_no_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def package(name: str, room: str) -> Path:
        root = tmp_path / name
        (root / room).mkdir(parents=True)
        (root / "__init__.py").write_text("")
        (root / room / "__init__.py").write_text('"""A room."""\n')
        (root / room / "part.py").write_text("VALUE = 1\n")
        (root / "user.py").write_text(f"from frontalbench.{room} import part\n\n\ndef f():\n    return part.VALUE\n")
        return root

    found = []
    for name, room in (("one", "here"), ("two", "there")):
        monkeypatch.setattr(fingerprint, "ROOT", package(name, room))
        for cached in (fingerprint._closure, fingerprint._tree, fingerprint._module_imports, fingerprint._module_hash):
            cached.cache_clear()
        found.append(fingerprint.code_fingerprint(["frontalbench.user"]))
    (tmp_path / "two" / "there" / "part.py").write_text("VALUE = 2\n")
    for cached in (fingerprint._closure, fingerprint._tree, fingerprint._module_imports, fingerprint._module_hash):
        cached.cache_clear()
    found.append(fingerprint.code_fingerprint(["frontalbench.user"]))
    monkeypatch.undo()
    for cached in (fingerprint._closure, fingerprint._tree, fingerprint._module_imports, fingerprint._module_hash):
        cached.cache_clear()
    assert found[0] == found[1] != found[2]


def test_what_is_left_out_exists_and_what_computes_is_not_in_it() -> None:
    for room in fingerprint.ROOMS_LEFT_OUT:
        assert (fingerprint.ROOT / room / "__init__.py").is_file(), room
    for module in fingerprint.MODULES_LEFT_OUT:
        assert fingerprint._path(f"frontalbench.{module}") is not None, module
    for stage, needed in (
        ("prepare", "frontalbench.images"),
        ("detect", "frontalbench.images"),
        ("compare", "frontalbench.compare.kernel"),
        ("quality", "frontalbench.quality.pixels"),
    ):
        assert needed in fingerprint.closure([f"frontalbench.stages.{stage}"]), f"a change of {needed} must rerun {stage}"


def test_a_sentence_about_a_measure_makes_summaries_anew_and_no_cell(project_root: Path) -> None:
    scripts = project_root / "workflow" / "scripts"
    assert "frontalbench.quality.measures" in fingerprint.closure(fingerprint.imports(scripts / "summarize.py"))
    rules = (project_root / "rules" / "quality.smk").read_text()
    assert rules.count("measures=PLAN.reruns.quality_meaning()") == rules.count("measures=PLAN.reruns.quality_meaning(of_sets=True)") == 1
    for stage in (fingerprint.ROOT / "stages").glob("*.py"):
        if stage.stem not in ("__init__", "summarize"):
            assert "frontalbench.quality.measures" not in fingerprint.closure([f"frontalbench.stages.{stage.stem}"]), stage.stem


def test_every_network_and_every_loss_counts_for_the_training_that_uses_it(project_root: Path) -> None:
    used = fingerprint.closure(fingerprint.imports(project_root / "workflow" / "scripts" / "train_network.py"))
    wanted = {
        f"frontalbench.train.{path.stem}" for path in (fingerprint.ROOT / "train").glob("*.py") if path.stem not in ("__init__", "feature")
    }
    assert wanted <= used, f"a change of {sorted(wanted - used)} reruns no training"
    assert {"frontalbench.networks.refiner", "frontalbench.networks.scaleway", "frontalbench.networks.discriminator"} <= used
    maps = fingerprint.closure(fingerprint.imports(project_root / "workflow" / "scripts" / "train_feature.py"))
    assert "frontalbench.train.feature" in maps
