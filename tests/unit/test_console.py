"""The command ``frontalbench``: doors to the scripts, working folders, lists, the look at the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from frontalbench import errors
from frontalbench.catalogue import cards
from frontalbench.console import doctor, listing, main, project
from frontalbench.plan import fingerprint
from frontalbench.weights import store
from tests.project import usages


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a workflow of three files."""
    source = tmp_path / "package"
    for name, text in {"Snakefile": "one", "config/config.yaml": "a: 1", "workflow/scripts/embed.py": "print()"}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    (source / "workflow" / "scripts" / "__pycache__").mkdir()
    (source / "workflow" / "scripts" / "__pycache__" / "embed.pyc").write_text("x")
    (source / "workflow" / "scripts" / "embed.py").chmod(0o755)
    monkeypatch.setattr(project, "shipped", lambda: source)
    return source


def test_every_script_has_a_door_and_every_door_says_what_it_does(project_root: Path) -> None:
    known = main.doors()
    scripts = {path.stem: path for path in (project_root / "workflow" / "scripts").iterdir() if path.suffix in (".py", ".sh")}
    assert {path.stem for path in known.values()} == set(scripts) - set(main.NO_DOOR)
    for path in known.values():
        script = scripts[path.stem]
        assert script == path or fingerprint.commands(script) == (f"frontalbench.commands.{path.stem}",), "both call the same function"
        assert script == path or len(script.read_text().splitlines()) < 10, f"{script} is a door and no more"
    assert not set(known) & set(main.OWN)
    text = main.overview()
    for command in (*known, *main.OWN):
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {command} ")]
        assert len(line.split(maxsplit=1)[1]) > 20


def test_a_door_opens_under_its_name_and_under_the_script_s(project_root: Path) -> None:
    for usage in usages(project_root, "embed", "extract-embeddings", "extract_embeddings"):
        assert usage.startswith("usage: frontalbench embed ")


def test_a_misspelt_command_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["frontalise"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: no command 'frontalise'; did you mean 'frontalize'?; frontalbench --help lists all\n"


def test_a_folder_is_laid_out_whole_and_recorded(small: Path, tmp_path: Path) -> None:
    laid = project.lay_out(tmp_path / "study")
    assert laid.new == ["Snakefile", "config/config.yaml", "workflow/scripts/embed.py"]
    assert (tmp_path / "study" / "workflow" / "scripts" / "embed.py").stat().st_mode & 0o111
    assert set(project.record(tmp_path / "study")["files"]) == set(laid.new)


def test_files_that_are_there_are_never_written_over(small: Path, tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text("mine")
    with pytest.raises(errors.BadInput, match=r"Snakefile is there already \(1 of 3 files\)"):
        project.lay_out(tmp_path)
    assert (tmp_path / "Snakefile").read_text() == "mine"
    assert not (tmp_path / "config").exists()
    with pytest.raises(errors.BadInput, match="not laid out by frontalbench init"):
        project.lay_out(tmp_path, update=True)


def test_an_update_brings_what_is_new_and_keeps_what_was_changed_by_hand(small: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    project.lay_out(study)
    (study / "config" / "config.yaml").write_text("a: 2")
    (study / "notes.txt").write_text("mine")
    again = project.lay_out(study, update=True)
    assert (again.new, again.replaced, again.removed, again.kept) == ([], [], [], [])
    assert (study / "config" / "config.yaml").read_text() == "a: 2"

    (small / "config" / "config.yaml").write_text("a: 3")
    (small / "Snakefile").write_text("two")
    (small / "constraints.txt").write_text("numpy")
    (small / "workflow" / "scripts" / "embed.py").unlink()
    laid = project.lay_out(study, update=True)
    assert laid == project.Laid(["constraints.txt"], ["Snakefile"], ["workflow/scripts/embed.py"], ["config/config.yaml"])
    assert (study / "config" / "config.yaml").read_text() == "a: 2"
    assert (study / "notes.txt").read_text() == "mine"
    assert project.lay_out(study, update=True).kept == ["config/config.yaml"], "said until it is settled"


def test_a_record_that_points_out_of_the_folder_is_refused(small: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    project.lay_out(study)
    (study / project.RECORD).write_text(json.dumps({"version": "1", "files": {"../precious": "0" * 64}}))
    with pytest.raises(errors.BadInput, match="not a record of frontalbench init"):
        project.lay_out(study, update=True)


def test_the_workflow_itself_is_no_place_for_a_working_folder(small: Path) -> None:
    with pytest.raises(errors.BadInput, match="the workflow itself"):
        project.lay_out(small)


def test_lists_hold_what_was_asked_for() -> None:
    golden = listing.rows("frontalizers", verified=["golden"])
    assert {"liveportrait"} <= {row.name for row in golden} and {row.verified for row in golden} == {"golden"}
    assert len(listing.rows()) == len(cards.all_cards())
    assert listing.names(listing.rows("enhancements")).split() == sorted(card.name for card in cards.all_cards("enhancement"))
    assert "synthetic" in listing.table(listing.rows("datasets"))
    assert listing.table([]) == "no such card\n"


def test_a_card_is_absent_when_a_card_it_uses_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(store.STORE_VARIABLE, str(tmp_path))
    monkeypatch.delenv("FRONTALBENCH_WEIGHTS", raising=False)
    states = {row.name: row.weights for row in listing.rows("frontalizers")}
    assert states["mesh"] == "absent", "its landmarks are fetched"
    assert states["mirror"] == "present"
    assert states["cfr_gan"] == states["tddfa_external"] == "absent", "neither files nor an environment of a foreign system are here"


def test_the_doctor_says_what_differs_from_the_pins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text('# pins\nnumpy==0.1\npytest==0.2; python_version < "3.0"\nno-such-package==1\npip==0.1\n')
    monkeypatch.setattr(project, "shipped", lambda: tmp_path)
    (check,) = doctor._versions()
    assert "pip" not in check.text.split(";")[0], "every new environment has an older one, and installing the project leaves it"
    assert (
        check.word == doctor.ADVICE and check.text.startswith("numpy ") and "(pinned 0.1)" in check.text and "pinned 0.2" not in check.text
    )


def test_the_doctor_tells_an_outdated_folder(monkeypatch: pytest.MonkeyPatch, small: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    project.lay_out(study)
    (study / "config" / "models").mkdir()
    monkeypatch.chdir(study)
    assert [check.word for check in doctor._folder()] == [doctor.OK]
    monkeypatch.setattr("frontalbench.__version__", "9.9")
    (check,) = doctor._folder()
    assert check.word == doctor.BROKEN and "frontalbench init --update ." in check.text
    monkeypatch.chdir(tmp_path)
    assert [check.word for check in doctor._folder()] == [doctor.ADVICE]


def test_weights_out_of_reach_are_named_with_who_did_not_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, project_root: Path
) -> None:
    monkeypatch.setenv(store.STORE_VARIABLE, str(tmp_path))
    monkeypatch.delenv("FRONTALBENCH_WEIGHTS", raising=False)
    monkeypatch.chdir(project_root)
    monkeypatch.setattr(doctor, "_answers", lambda place: False)
    last = list(doctor._weights(None, network=True))[-1]
    assert last.word == doctor.ADVICE and "w600k_mbf" in last.text and doctor.PIP in last.text
    monkeypatch.setattr(doctor, "_answers", lambda place: True)
    assert list(doctor._weights(None, network=True))[-1].word == doctor.OK


def test_files_that_everybody_gets_from_their_makers_are_named_with_what_to_accept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, project_root: Path
) -> None:
    monkeypatch.setenv(store.STORE_VARIABLE, str(tmp_path))
    monkeypatch.chdir(project_root)
    (tmp_path / "mine.yaml").write_text("frontalizers: [deca, tp_gan]\nderived: []\n")
    lines = [check.text for check in doctor._weights(tmp_path / "mine.yaml", network=False) if check.name == "licences"]
    assert len(lines) == 5 and all(check.word != doctor.BROKEN for check in doctor._weights(tmp_path / "mine.yaml", network=False))
    assert any(line.startswith("generic_model.pkl (of deca): ") and "flame.is.tue.mpg.de" in line for line in lines)
    assert any("no generator was ever published" in line for line in lines)


def test_what_a_check_stumbles_over_is_a_line_and_not_a_stack_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("frontalizers: [mesch]\n")
    monkeypatch.setattr(doctor, "_gpu", lambda: (_ for _ in ()).throw(PermissionError(13, "Permission denied", "/dev/nvidia0")))
    found = list(doctor.checks(tmp_path / "mine.yaml", network=False))
    assert any(check.name == "gpu" and check.word == doctor.BROKEN and "/dev/nvidia0" in check.text for check in found)
    assert any(check.name == "weights" and check.word == doctor.BROKEN and "mesch" in check.text for check in found)
