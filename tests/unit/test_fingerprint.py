"""The code fingerprint sees meaning: not comments, not formatting, not file times, and only the modules that a stage uses."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from frontalbench import cards, fingerprint
from frontalbench.datasets import layouts
from frontalbench.workflow import Plan


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
    modules = fingerprint.closure(["frontalbench.stages.frontalize", "frontalbench.stages.turn", "frontalbench.frontalize.base"])
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
        return {name: plan.code("prepare", "prepare_dataset.py", schema="images", dataset=name) for name in plan.datasets}

    before = codes()
    assert before["lfw"] == before["lfw_funneled"] != before["biwi"]
    hashed = fingerprint._module_hash
    monkeypatch.setattr(fingerprint, "_module_hash", lambda name: "edited" if name == "frontalbench.datasets.biwi" else hashed(name))
    Plan.code.cache_clear()
    after = codes()
    assert {name for name in before if before[name] != after[name]} == {"biwi"}
    Plan.code.cache_clear()


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
    stages = re.findall(r'PLAN\.code\(\s*"(\w+)",\s*"(\w+\.py)"', rules)
    assert len(stages) >= 10
    # Used for plain folders, or by way of a card, whose family counts.
    elsewhere = fingerprint.closure(["frontalbench.folders", "frontalbench.detect.ahead"])
    elsewhere |= {"frontalbench.stages.checking", "frontalbench.datasets.near"}  # --check writes nothing
    for stage, script in stages:
        used = fingerprint.closure(fingerprint.imports(project_root / "workflow" / "scripts" / script))
        missed = used - fingerprint.closure([f"frontalbench.stages.{stage}"]) - elsewhere
        assert not missed, f"{script}: a change of {sorted(missed)} reruns nothing"


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
    for path in (project_root / "src").rglob("*.py"):
        tree = ast.parse(path.read_text())
        assert fingerprint._dump(tree) == ast.dump(tree)
