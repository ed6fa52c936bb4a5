"""What a foreign system needs on this machine: made where there is a network, missed in one line, and part of what decides a rerun."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from frontalbench import images, status, tables
from frontalbench.catalogue import cards, external
from frontalbench.catalogue.cards import ModelCard
from frontalbench.errors import BadConfig, EnvironmentMissing, RepositoryMissing, WeightsMissing
from frontalbench.frontalize.external import Places, load
from frontalbench.stages.external import frontalize_external
from frontalbench.weights import foreign
from tests.unit.externalkit import COPY, adapter, card, view


@pytest.fixture(autouse=True)
def _own_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTALBENCH_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("FRONTALBENCH_ENVIRONMENTS", str(tmp_path / "environments"))


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """A local repository of one file, and its commit; a second commit comes after it."""
    folder = tmp_path / "upstream"
    folder.mkdir()

    def git(*words: str) -> str:
        named = ["-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", "-C", str(folder), *named, *words], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (folder / "model.py").write_text("VALUE = 1\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    commit = git("rev-parse", "HEAD")
    (folder / "model.py").write_text("VALUE = 2\n")
    git("commit", "--quiet", "-am", "two")
    git("config", "uploadpack.allowAnySHA1InWant", "true")
    return folder, commit


def pinned(tmp_path: Path, repository: tuple[Path, str], **more: object) -> ModelCard:
    adapter(tmp_path, COPY)
    return card(tmp_path, external={"repository": {"url": str(repository[0]), "commit": repository[1]}, **more})


def made_environment(one: ModelCard) -> Path:
    """An environment that is this very Python."""
    folder = foreign.environment_folder(external.read(one))
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / foreign.READY).write_text("by hand\n")
    return folder


def test_the_commit_on_the_card_comes_and_no_other(tmp_path: Path, repository: tuple[Path, str]) -> None:
    one = pinned(tmp_path, repository)
    with pytest.raises(RepositoryMissing, match="prepare-environments stranger"):
        foreign.repository(external.read(one))
    foreign.fetch_repository(external.read(one))
    tree = foreign.repository(external.read(one))
    assert tree is not None and (tree / "model.py").read_text() == "VALUE = 1\n"
    assert "(there)" in foreign.fetch_repository(external.read(one))


def test_a_commit_that_is_not_there_leaves_nothing_behind_that_looks_ready(tmp_path: Path, repository: tuple[Path, str]) -> None:
    one = external.read(pinned(tmp_path, (repository[0], "0" * 40)))
    with pytest.raises(RepositoryMissing, match="could not be fetched") as caught:
        foreign.fetch_repository(one)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(RepositoryMissing):
        foreign.repository(one)


def test_a_commit_to_be_pinned_is_refused_in_one_line(tmp_path: Path, repository: tuple[Path, str]) -> None:
    one = external.read(pinned(tmp_path, (repository[0], external.TO_BE_PINNED)))
    for look in (foreign.repository, foreign.fetch_repository):
        with pytest.raises(RepositoryMissing, match=r"commit: to be pinned by you; look at .*40 digits") as caught:
            look(one)
        assert len(str(caught.value).splitlines()) == 1


def test_the_system_gets_a_copy_of_its_repository_that_it_may_spoil(tmp_path: Path, repository: tuple[Path, str]) -> None:
    one = pinned(tmp_path, repository)
    foreign.fetch_repository(external.read(one))
    made_environment(one)
    adapter(tmp_path, "Path(manifest['repository'], 'model.py').write_text('spoilt')\n" + COPY)
    outcomes = load(one).frontalize([view()])
    assert outcomes[0].status == status.OK
    tree = foreign.repository(external.read(one))
    assert tree is not None and (tree / "model.py").read_text() == "VALUE = 1\n" and not (tree / ".git" / "hooks" / "x").exists()


def test_what_is_missing_is_said_in_the_order_in_which_one_mends_it(tmp_path: Path, repository: tuple[Path, str]) -> None:
    asset = {"file": "net.pth", "from": "the authors' page", "bytes": 4}
    one = pinned(tmp_path, repository, assets=[asset])
    assert [word for word, _ in foreign.lacks(one)] == [status.ENVIRONMENT_MISSING, status.REPOSITORY_MISSING, status.WEIGHTS_MISSING]
    made_environment(one)
    foreign.fetch_repository(external.read(one))
    (line,) = [line for _, line in foreign.lacks(one)]
    assert "net.pth is not there; it comes from: the authors' page" in line
    place = foreign.assets_folder(external.read(one)) / "net.pth"
    place.parent.mkdir(parents=True)
    place.write_text("12345")
    with pytest.raises(WeightsMissing, match="has 5 bytes, the card says 4"):
        foreign.assets(external.read(one))
    place.write_text("1234")
    assert foreign.lacks(one) == []


def test_an_asset_with_a_sum_is_checked(tmp_path: Path) -> None:
    adapter(tmp_path, COPY)
    one = card(tmp_path, external={"assets": [{"file": "a/net.pth", "from": "x", "sha256": "0" * 64}]})
    place = foreign.assets_folder(external.read(one)) / "a" / "net.pth"
    place.parent.mkdir(parents=True)
    place.write_text("other")
    with pytest.raises(WeightsMissing, match="another file than the card describes"):
        foreign.assets(external.read(one))


@pytest.mark.slow
def test_a_virtual_environment_is_made_once_and_runs_the_adapter(tmp_path: Path) -> None:
    adapter(tmp_path, COPY)
    one = card(tmp_path)
    with pytest.raises(EnvironmentMissing, match="prepare-environments stranger"):
        load(one)
    made = foreign.prepare(one)
    assert made.problems == [] and "virtual environment" in made.done[0]
    assert "(there)" in foreign.prepare(one).done[0]
    assert load(one).frontalize([view()])[0].status == status.OK


@pytest.mark.slow
def test_a_requirement_that_does_not_exist_costs_its_own_card_alone(tmp_path: Path) -> None:
    (adapter(tmp_path, COPY) / "requirements.txt").write_text("./no_such_folder\n")
    made = foreign.prepare(card(tmp_path))
    assert made.done == [] and "could not be made" in made.problems[0] and len(made.problems[0].splitlines()) == 1
    assert foreign.lacks(card(tmp_path))[0][0] == status.ENVIRONMENT_MISSING


def test_a_python_that_is_not_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (adapter(tmp_path, COPY) / "requirements.txt").write_text("# python: 3.2\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentMissing, match=r"needs Python 3\.2, which is not on this machine"):
        foreign.make_environment(external.read(card(tmp_path)))


def fake_conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "tools" / "micromamba"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\n[ "$1" = create ] || exit 3\nmkdir -p "$4/bin" "$4/conda-meta"\nln -s {sys.executable} "$4/bin/python"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")


def test_a_conda_environment_is_made_where_the_adapter_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = adapter(tmp_path, COPY)
    one = card(tmp_path)
    with pytest.raises(EnvironmentMissing, match=r"no environment\.yaml"):
        foreign.make_environment(external.read(one), conda=True)
    (folder / "environment.yaml").write_text("dependencies: [python =3.9]\n")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(EnvironmentMissing, match="install micromamba"):
        foreign.make_environment(external.read(one), conda=True)
    fake_conda(tmp_path, monkeypatch)
    assert "conda environment of micromamba" in foreign.make_environment(external.read(one), conda=True)
    assert foreign.interpreter(external.read(one)).exists()


def test_an_adapter_that_says_nothing_of_its_environment_is_refused(tmp_path: Path) -> None:
    folder = adapter(tmp_path, COPY)
    (folder / "requirements.txt").unlink()
    with pytest.raises(BadConfig, match=r"neither requirements\.txt nor environment\.yaml"):
        external.read(card(tmp_path))
    (folder / "run.py").unlink()
    with pytest.raises(BadConfig, match=r"run\.py is not there"):
        external.read(card(tmp_path))


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    ("change", "other"),
    [
        (lambda folder: (folder / "run.py").write_text("# another\n"), True),
        (lambda folder: (folder / "requirements.txt").write_text("numpy\n"), True),
        (lambda folder: (folder / "environment.yaml").write_text("dependencies: []\n"), True),
        (lambda folder: (folder / "table.csv").write_text("1,2\n"), True),
        (lambda folder: (folder / "README.md").write_text("for people\n"), False),
        (lambda folder: (folder / "run.py").touch(), False),
    ],
)
def test_what_makes_an_image_is_in_the_hash_and_what_does_not_is_not(tmp_path: Path, change: Change, other: bool) -> None:
    folder = adapter(tmp_path, COPY)
    before = external.read(card(tmp_path)).digest()
    change(folder)
    assert (external.read(card(tmp_path)).digest() != before) == other


def test_the_commit_is_in_the_hash(tmp_path: Path) -> None:
    adapter(tmp_path, COPY)
    found = {
        external.read(card(tmp_path, external={"repository": {"url": "https://example.com/x", "commit": c * 40}})).digest() for c in "ab"
    }
    assert len(found) == 2


def shard(folder: Path) -> tuple[Path, Path]:
    """Five photographs: three with a face, one without, one that cannot be decoded."""
    rows, crops = [], []
    for i in range(5):
        one = view(i)
        head = {"image_id": f"p{i}", "identity": "p", "role": "probe"}
        content = b"no image" if i == 4 else images.encode_png(one.image)
        more = {"subject": "p", "sequence": "", "source": f"p{i}.png", "sha256": "0" * 64, "width": 40, "height": 30}
        more |= {"yaw": None, "pitch": None, "roll": None, "pose_source": ""}
        rows.append({**head, **more, "status": "ok", "detail": "", "image": content})
        assert one.face is not None
        found = {"score": 0.9, "n_faces": 1, "box": one.face.box.tolist(), "points": one.face.points.reshape(-1).tolist(), "image": b""}
        none = {"score": None, "n_faces": 0, "box": None, "points": None, "image": None}
        word, detail = ("no_face", "nobody here") if i == 3 else ("ok", "")
        crops.append({**head, "status": word, "detail": detail, **(none if i == 3 else found)})
    tables.write(folder / "images.parquet", pa.Table.from_pylist(rows, schema=tables.IMAGES), {})
    tables.write(folder / "crops.parquet", pa.Table.from_pylist(crops, schema=tables.CROPS), {})
    return folder / "images.parquet", folder / "crops.parquet"


def test_a_shard_has_a_row_for_every_photograph(tmp_path: Path) -> None:
    folder = adapter(tmp_path, "manifest['pictures'].pop(1)\n" + COPY)
    one = card(tmp_path)
    out = tmp_path / "frontals.parquet"
    places = Places(Path(sys.executable), folder / "run.py")
    counts = frontalize_external(*shard(tmp_path), out, one, lambda: load(one, places=places), made_of="abc")
    rows = tables.read(out).to_pylist()
    assert [row["status"] for row in rows] == ["ok", "model_error", "ok", "no_face", "unreadable"] and counts["ok"] == 2
    assert rows[0]["seconds"] == 0.25 and images.decode(rows[0]["image"]).shape == (30, 40, 3) and rows[3]["detail"] == "nobody here"
    assert tables.provenance(out)["made_of"] == "abc"
    assert tables.run_record(out)["gpu_mb"] == 100.0


def test_a_system_that_is_not_here_costs_its_own_cell(tmp_path: Path) -> None:
    adapter(tmp_path, COPY)
    one = card(tmp_path)
    out = tmp_path / "frontals.parquet"
    counts = frontalize_external(*shard(tmp_path), out, one, lambda: load(one))
    assert counts == {status.ENVIRONMENT_MISSING: 5}
    assert {row["detail"] for row in tables.read(out).to_pylist()} == {str(_why(one))}


def _why(one: ModelCard) -> EnvironmentMissing:
    with pytest.raises(EnvironmentMissing) as caught:
        load(one)
    return caught.value


def test_every_shipped_external_card_has_its_adapter() -> None:
    found = [one for one in cards.all_cards("frontalizer") if one.family == external.FAMILY]
    assert len(found) >= 2
    for one in found:
        said = external.read(one)
        assert said.requirements is not None and said.conda is not None, f"{said.folder}: both kinds of environment"
        assert not said.commit or said.url.startswith("https://")
