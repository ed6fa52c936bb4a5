"""The weight store: what it takes, what it refuses, what it says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frontalbench.catalogue import cards
from frontalbench.errors import BadConfig, BadInput, WeightsMissing
from frontalbench.weights import checksums, store
from tests.unit.weightkit import TOY, Server, make_card, make_tgz, make_wheel, make_zip, new_project, serving, sha, weight_entry

PACKAGE = {"package": "toy==1.0", "registry": "python", "form": "wheel", "member": "model/toy.onnx"}
STORED = f"{sha(TOY)[:16]}-toy.onnx"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return new_project(tmp_path / "project", monkeypatch)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("FRONTALBENCH_WEIGHTS", f"{tmp_path / 'not there'}{os.pathsep}{folder}")
    return folder


@pytest.fixture
def server() -> Server:
    with serving() as running:
        running.files["/toy.onnx"] = TOY
        yield running


def visible(folder: Path) -> list[str]:
    """The store's files: no locks, and an empty folder for archives does not count."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and ".locks" not in p.parts)


def test_a_fetched_file_is_kept_under_its_hash_and_found_again(project: Path, server: Server) -> None:
    card = make_card(project, {"url": f"{server.url}/toy.onnx"})
    with pytest.raises(WeightsMissing, match="not fetched yet"):
        store.locate(card)
    assert store.fetch(card) == project / "weights" / STORED
    assert store.locate(card).read_bytes() == TOY
    assert store.fetch(card) == store.locate(card)
    assert len(server.seen) == 1 and visible(project / "weights") == [STORED]


def test_the_store_can_lie_elsewhere(project: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTALBENCH_STORE", str(tmp_path / "big disk"))
    assert store.fetch(make_card(project, {"url": f"{server.url}/toy.onnx"})) == tmp_path / "big disk" / STORED


def test_the_next_source_is_tried_when_one_fails(project: Path, server: Server) -> None:
    server.files["/wrong.onnx"] = TOY[::-1]
    card = make_card(project, {"url": f"{server.url}/gone.onnx"}, {"url": f"{server.url}/wrong.onnx"}, {"url": f"{server.url}/toy.onnx"})
    assert store.fetch(card).read_bytes() == TOY
    assert visible(project / "weights") == [STORED]


def test_out_of_reach_is_one_line_with_every_reason_and_the_remedy(project: Path, server: Server, mirror: Path) -> None:
    server.files["/wrong.onnx"] = TOY[::-1]
    (mirror / "toy.onnx").write_bytes(b"something else")
    card = make_card(project, {"url": f"{server.url}/gone.onnx"}, {"url": f"{server.url}/wrong.onnx"}, {"file": "no/such/file"})
    with pytest.raises(WeightsMissing) as caught:
        store.fetch(card)
    line = str(caught.value)
    assert "\n" not in line
    for part in (
        "backbone toy: weight file toy.onnx (10,240 bytes, sha256 " + sha(TOY)[:12],
        f"{mirror / 'toy.onnx'}: 14 bytes instead of 10,240, not used",
        "gone.onnx: HTTP 404",
        "wrong.onnx: the server gave another file",
        "file: no such file",
        "put it in $FRONTALBENCH_WEIGHTS or run: python workflow/scripts/fetch_weights.py --from FILE --card backbone/toy",
    ):
        assert part in line
    assert visible(project / "weights") == []


@pytest.mark.parametrize("place", ["toy.onnx", "backbone/toy/toy.onnx", STORED])
def test_a_mirror_is_used_in_place(project: Path, mirror: Path, place: str) -> None:
    (mirror / place).parent.mkdir(parents=True, exist_ok=True)
    (mirror / place).write_bytes(TOY)
    card = make_card(project)
    assert store.fetch(card) == store.locate(card) == mirror / place
    assert store.status(card).state == store.MIRROR
    assert not (project / "weights").exists()


def test_a_wrong_file_in_the_mirror_is_named_and_the_right_one_beside_it_taken(project: Path, mirror: Path) -> None:
    (mirror / "backbone" / "toy").mkdir(parents=True)
    (mirror / "backbone" / "toy" / "toy.onnx").write_bytes(TOY[::-1])
    card = make_card(project)
    with pytest.raises(WeightsMissing, match=r"backbone/toy/toy\.onnx: sha256 .* not used"):
        store.locate(card)
    (mirror / "toy.onnx").write_bytes(TOY)
    assert store.locate(card) == mirror / "toy.onnx"


ARCHIVES = {
    "toy-1.0-py3-none-any.whl": (PACKAGE, make_zip, "pkg/model/toy.onnx"),
    "toy-1.0.tar.gz": (PACKAGE | {"form": "sdist"}, make_tgz, "toy-1.0/model/toy.onnx"),
    "toy-1.0.tgz": ({"package": "toy@1.0", "registry": "npm", "member": "toy.onnx"}, make_tgz, "package/toy.onnx"),
    "pack.zip": ({"url": "http://127.0.0.1:9/a/pack.zip", "member": "toy.onnx"}, make_zip, "toy.onnx"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_in_the_mirror_is_unpacked_into_the_store(project: Path, mirror: Path, name: str) -> None:
    source, make, member = ARCHIVES[name]
    make(mirror / name, {member: TOY, "other/code.py": b"raise SystemExit"})
    card = make_card(project, source)
    assert store.status(card).state == store.MIRROR and store.available(card)
    assert store.fetch(card) == project / "weights" / STORED
    assert visible(project / "weights") == [STORED] and [p.name for p in mirror.iterdir()] == [name]
    assert store.status(card).state == store.PRESENT


def test_an_archive_with_another_member_is_named(project: Path, mirror: Path) -> None:
    make_zip(mirror / "pack.zip", {"toy.onnx": TOY[::-1]})
    card = make_card(project, {"url": "http://127.0.0.1:9/pack.zip", "member": "toy.onnx"})
    with pytest.raises(WeightsMissing, match=r"pack\.zip: the member is another file: sha256"):
        store.fetch(card)
    assert visible(project / "weights") == []


def test_a_file_source_is_used_in_place(project: Path) -> None:
    (project / "mine").mkdir()
    (project / "mine" / "any name").write_bytes(TOY)
    card = make_card(project, {"file": "mine/any name"})
    assert store.locate(card) == project / "mine" / "any name"
    (project / "mine" / "any name").write_bytes(TOY[::-1])
    with pytest.raises(WeightsMissing, match="not used"):
        store.fetch(card)


def test_one_archive_serves_several_files_and_leaves_nothing(project: Path, server: Server) -> None:
    second = TOY + b"2"
    server.files["/pack.zip"] = archive = make_zip(project / "p.zip", {"p/toy.onnx": TOY, "p/two.onnx": second}).read_bytes()
    source = {"url": f"{server.url}/pack.zip", "archive_sha256": sha(archive), "archive_bytes": len(archive)}
    entries = {
        "model": weight_entry(source | {"member": "toy.onnx"}),
        "basis": weight_entry(source | {"member": "two.onnx"}, data=second, file="two.onnx"),
    }
    card = make_card(project, weights=entries)
    assert store.fetch_card(card) == {"model": store.locate(card), "basis": store.locate(card, "basis")}
    assert len(server.seen) == 1
    assert visible(project / "weights") == sorted([STORED, f"{sha(second)[:16]}-two.onnx"])


@pytest.mark.slow
def test_an_archive_download_goes_on_where_it_stopped(project: Path, server: Server) -> None:
    noise = os.urandom(400_000)
    server.files["/pack.zip"] = archive = make_zip(project / "p.zip", {"toy.onnx": noise}).read_bytes()
    source = {"url": f"{server.url}/pack.zip", "archive_sha256": sha(archive), "member": "toy.onnx"}
    card = make_card(project, weights={"model": weight_entry(source, data=noise)})
    server.drops = [200_000, 0, 0, 0, 0]
    server.statuses = []
    with pytest.raises(WeightsMissing, match="ended early"):
        store.fetch(card)
    server.drops, server.seen = [], []
    assert store.fetch(card).read_bytes() == noise
    assert server.seen[0][1] is not None, "asked for the rest only"
    assert len(visible(project / "weights")) == 1


def test_a_half_loaded_file_is_never_taken_for_the_file(project: Path, server: Server) -> None:
    card = make_card(project, {"url": f"{server.url}/toy.onnx"})
    (project / "weights").mkdir()
    (project / "weights" / f".{STORED}.part").write_bytes(TOY[:5000])
    (project / "weights" / f".{STORED}.killed.part").write_bytes(TOY[:10])
    assert store.status(card).state == store.ABSENT
    assert store.fetch(card).read_bytes() == TOY
    assert server.seen == [("/toy.onnx", "bytes=5000-")]
    assert visible(project / "weights") == [STORED], "what a killed process left is gone"


def test_a_damaged_stored_file_is_fetched_again(project: Path, server: Server) -> None:
    card = make_card(project, {"url": f"{server.url}/toy.onnx"})
    store.fetch(card).write_bytes(TOY[:-1] + b"?")
    with pytest.raises(WeightsMissing, match="sha256"):
        store.locate(card)
    assert store.fetch(card).read_bytes() == TOY


def test_a_change_that_keeps_size_and_place_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "f"
    for content in (b"aaaa", b"bbbb", b"cccc"):
        file.write_bytes(content)
        assert checksums.sha256(file) == sha(content)


def test_a_settled_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_bytes(TOY)
    os.utime(file, (time.time() - 60,) * 2)
    checksums.sha256(file)
    monkeypatch.setattr(checksums.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    assert checksums.sha256(file) == sha(TOY)


def test_leftover_archive_folders_of_killed_processes_are_removed(project: Path, server: Server) -> None:
    left = project / "weights" / "archives" / "session-dead"
    left.mkdir(parents=True)
    (left / "owner").touch()
    (left / "big.zip").write_bytes(TOY)
    server.files["/pack.zip"] = make_zip(project / "p.zip", {"toy.onnx": TOY}).read_bytes()
    store.fetch(make_card(project, {"url": f"{server.url}/pack.zip", "member": "toy.onnx"}))
    assert visible(project / "weights") == [STORED]


@pytest.mark.slow
def test_many_processes_at_once_end_with_one_good_file(project: Path, server: Server) -> None:
    data = os.urandom(2_000_000)
    server.files["/big.onnx"] = data
    make_card(project, weights={"model": weight_entry({"url": f"{server.url}/big.onnx"}, data=data)})
    code = "from frontalbench.catalogue import cards; from frontalbench.weights import store; print(store.fetch(cards.find('backbone', 'toy')))"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    printed = {process.communicate(timeout=600)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0] * 4
    (path,) = printed
    assert Path(path).read_bytes() == data
    assert len(server.seen) == 1, "the others waited for the first"


def test_a_killed_fetch_leaves_the_next_one_a_beginning(project: Path, server: Server) -> None:
    data = os.urandom(400_000)
    server.files["/big.onnx"] = data
    make_card(project, weights={"model": weight_entry({"url": f"{server.url}/big.onnx"}, data=data)})
    code = (
        "import os; from frontalbench.catalogue import cards; from frontalbench.weights import store\n"
        "store.fetch(cards.find('backbone', 'toy'), progress=lambda label, done, total: done > 200_000 and os.kill(os.getpid(), 9))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    card = cards.find("backbone", "toy")
    assert store.status(card).state == store.ABSENT
    assert store.fetch(card).read_bytes() == data
    assert server.seen[-1][1] is not None and len(visible(project / "weights")) == 1


@pytest.mark.parametrize("fact", ["sha256", "both"])
def test_without_a_known_hash_nothing_is_loaded(project: Path, mirror: Path, fact: str) -> None:
    (mirror / "toy.onnx").write_bytes(TOY)
    entry = weight_entry() | {"sha256": None} | ({"bytes": None} if fact == "both" else {})
    card = make_card(project, weights={"model": entry})
    for call in (store.locate, store.fetch):
        with pytest.raises(WeightsMissing, match=r"has no known sha256.*write its bytes and sha256 into config/models/backbones/toy\.yaml"):
            call(card)
    assert store.status(card).state == store.ABSENT and not store.available(card)


def test_a_key_that_the_card_does_not_have_is_said(project: Path) -> None:
    with pytest.raises(BadConfig, match="no weights 'basis'; it has: model"):
        store.locate(make_card(project), "basis")


def test_what_used_cards_need_is_needed_once_and_first(project: Path, server: Server) -> None:
    used = {"url": f"{server.url}/toy.onnx"}
    make_card(project, used, name="locator", kind="landmarks")
    own = weight_entry({"url": f"{server.url}/own"}, data=b"own", file="own.onnx")
    same = weight_entry(used)
    card = make_card(project, name="front", kind="frontalizer", weights={"model": own, "again": same}, uses=["locator"])
    server.files["/own"] = b"own"
    needed = store.requirements([card, card])
    assert [(each.card.name, each.weight.key) for each in needed] == [("locator", "model"), ("front", "model")]
    assert not store.available(card)
    assert set(store.fetch_card(card)) == {"model", "again"}
    assert store.available(card) and len(server.seen) == 2


def test_all_that_can_be_fetched_is_fetched_before_the_missing_is_said(project: Path, server: Server) -> None:
    first = make_card(project, {"url": f"{server.url}/gone"}, name="first", weights={"model": weight_entry(data=b"1", file="1")})
    second = make_card(project, {"url": f"{server.url}/toy.onnx"}, name="second")
    third = make_card(project, name="third", weights={"model": weight_entry(data=b"3", file="3")})
    with pytest.raises(WeightsMissing) as caught:
        store.fetch_all([first, second, third])
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["backbone first", "backbone third"]
    assert store.locate(second).is_file()


def test_a_file_at_hand_is_taken_by_its_hash_whatever_its_name(project: Path, tmp_path: Path) -> None:
    card = make_card(project)
    (tmp_path / "download (1)").write_bytes(TOY)
    (met,) = store.provide(tmp_path / "download (1)", [card])
    assert met.weight.key == "model" and store.locate(card) == project / "weights" / STORED


def test_an_archive_at_hand_is_taken_by_its_name(project: Path, tmp_path: Path) -> None:
    card = make_card(project, PACKAGE)
    wheel = make_wheel(tmp_path, "toy", "1.0", {"toy/model/toy.onnx": TOY})
    store.provide(wheel, [card])
    assert store.locate(card).read_bytes() == TOY


def test_a_file_that_no_card_wants_is_refused_with_its_hash(project: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(BadInput, match=f"sha256 {sha(b'x')} belongs to no weight of these cards"):
        store.provide(tmp_path / "x", [make_card(project)])


def test_a_file_whose_hash_nobody_published_is_taken_after_its_user_wrote_it_down(project: Path, tmp_path: Path) -> None:
    (tmp_path / "toy.onnx").write_bytes(TOY)
    entry = weight_entry() | {"sha256": None, "bytes": None}
    card = make_card(project, weights={"model": entry})
    said = rf"write bytes: {len(TOY)} and sha256: {sha(TOY)} into config/models/backbones/toy\.yaml \(weights\.model\), then run this again"
    with pytest.raises(BadInput, match=said):
        store.provide(tmp_path / "toy.onnx", [card])
    assert not store.available(card)
    make_card(project, name="toy_b", weights={"model": entry})
    make_card(project, name="other", weights={"model": entry | {"file": "other.onnx"}})
    with pytest.raises(BadInput, match=r"run this again; a file of this name, perhaps the same, stands unpinned in toy_b too$"):
        store.provide(tmp_path / "toy.onnx", [card])
    pinned = make_card(project, weights={"model": entry | {"bytes": len(TOY), "sha256": sha(TOY)}})
    store.provide(tmp_path / "toy.onnx", [pinned])
    assert store.locate(pinned).read_bytes() == TOY


def test_a_web_page_is_not_offered_to_be_trusted(project: Path, tmp_path: Path) -> None:
    (tmp_path / "toy.onnx").write_bytes(b"\n <!DOCTYPE html><html>Google Drive can't scan this file for viruses</html>")
    card = make_card(project, weights={"model": weight_entry() | {"sha256": None, "bytes": None}})
    with pytest.raises(BadInput, match=r"toy\.onnx: a web page and no weight file"):
        store.provide(tmp_path / "toy.onnx", [card])


def test_a_file_without_a_known_hash_is_missed_with_its_address(project: Path) -> None:
    entry = weight_entry({"url": "https://example.org/toy.onnx"}) | {"sha256": None}
    with pytest.raises(WeightsMissing, match=r"from a source you trust \(https://example\.org/toy\.onnx\) and write"):
        store.locate(make_card(project, weights={"model": entry}))
    with pytest.raises(WeightsMissing, match=r"from a source you trust \(the card's notes name it\) and write"):
        store.locate(make_card(project, weights={"model": entry | {"sources": []}}))


def test_a_store_that_cannot_be_written_is_said(project: Path, server: Server) -> None:
    (project / "weights").write_text("a file where the folder should be")
    with pytest.raises(BadInput, match=r"cannot store toy\.onnx .*FRONTALBENCH_STORE"):
        store.fetch(make_card(project, {"url": f"{server.url}/toy.onnx"}))
    (project / "toy.onnx").write_bytes(TOY)
    with pytest.raises(BadInput, match=r"cannot store toy\.onnx .*FRONTALBENCH_STORE"):
        store.provide(project / "toy.onnx", [make_card(project)])


def test_nothing_and_a_folder_are_no_file_to_take(project: Path, tmp_path: Path) -> None:
    (tmp_path / "toy.onnx").touch()
    card = make_card(project, weights={"model": weight_entry() | {"sha256": None, "bytes": None}})
    with pytest.raises(BadInput, match=r"toy\.onnx: the file is empty"):
        store.provide(tmp_path / "toy.onnx", [card])
    with pytest.raises(BadInput, match="a folder; name the file in it"):
        store.provide(tmp_path, [card])


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path) -> Path:
    monkeypatch.setenv("INSIGHTFACE_HOME", str(tmp_path / "insightface"))
    (tmp_path / "insightface" / "models" / "buffalo_x" / "buffalo_x").mkdir(parents=True)
    return tmp_path / "insightface" / "models"


def test_a_file_of_a_pack_that_insightface_has_downloaded_is_used_where_it_lies(project: Path, packs: Path) -> None:
    card = make_card(project, {"url": "http://127.0.0.1:9/toy.onnx"})
    (packs / "buffalo_x" / "other.onnx").write_bytes(bytes(len(TOY)))
    (packs / "buffalo_x" / "buffalo_x" / "called_otherwise.onnx").write_bytes(TOY)
    assert store.fetch(card) == packs / "buffalo_x" / "buffalo_x" / "called_otherwise.onnx"
    assert store.available(card) and not (project / "weights").exists()


def test_a_pack_s_zip_is_looked_into_before_anything_is_fetched(project: Path, packs: Path) -> None:
    card = make_card(project, {"url": "http://127.0.0.1:9/pack_a.zip", "member": "toy.onnx"})
    make_zip(packs / "pack_b.zip", {"pack_b/toy.onnx": TOY, "../../escaped.onnx": b"out"})
    (packs / "broken.zip").write_bytes(b"PK no zip")
    assert store.available(card)
    assert store.fetch(card) == project / "weights" / STORED
    assert visible(project / "weights") == [STORED] and not list(packs.parent.parent.glob("**/escaped.onnx"))


def test_other_bytes_in_a_pack_are_named_and_not_used(project: Path, packs: Path) -> None:
    (packs / "buffalo_x" / "toy.onnx").write_bytes(bytes(len(TOY)))
    with pytest.raises(WeightsMissing, match=r"buffalo_x/toy\.onnx: sha256 .* instead of .*, not used"):
        store.locate(make_card(project, {"url": "http://127.0.0.1:9/toy.onnx"}))


def test_a_zip_under_another_name_can_be_brought_by_hand(project: Path, tmp_path: Path) -> None:
    card = make_card(project, {"url": "http://127.0.0.1:9/pack_a.zip", "member": "toy.onnx"})
    make_zip(tmp_path / "mine.zip", {"deep/toy.onnx": TOY})
    store.provide(tmp_path / "mine.zip", [card])
    assert visible(project / "weights") == [STORED]


def test_without_the_variable_the_packs_are_those_of_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    monkeypatch.setenv("INSIGHTFACE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".insightface" / "models" / "buffalo_l"
    folder.mkdir(parents=True)
    (folder / "toy.onnx").write_bytes(TOY)
    assert store.locate(make_card(project, {"url": "http://127.0.0.1:9/toy.onnx"})) == folder / "toy.onnx"
