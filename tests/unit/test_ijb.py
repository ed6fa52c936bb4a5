"""IJB-B and IJB-C from a made set in their files: pooling, both protocols, and what is wrong in a file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from frontalbench import tables
from frontalbench.errors import BadInput
from frontalbench.protocols import ijb

D = 12
SUBJECTS = 14


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """14 subjects: gallery template s (G1: the first 8, G2: the others) and two probe templates; images of stills and of videos; subject 13 has no
    gallery template. One image has no face, and all of template 103."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(SUBJECTS, D))
    meta = tmp_path / "IJBC" / "meta"
    meta.mkdir(parents=True)
    vectors: dict[str, np.ndarray] = {}
    lines, galleries, probes, medium = [], {"G1": [], "G2": []}, [], 0
    for s in range(SUBJECTS):
        for template, media in ((s, (1, 3)), (100 + s, (2,)), (200 + s, (1, 1))):
            if template == 13:
                continue
            for frames in media:
                medium += 1
                for _ in range(frames):
                    name = f"{len(vectors) + 1}.jpg"
                    vector = centres[s] + 0.9 * rng.normal(size=D)
                    vectors[name] = (vector / np.linalg.norm(vector)).astype(np.float32)
                    lines.append(f"{name} {template} {medium}")
                    row = f"{template},{s},img/{name}"
                    (probes if template >= 100 else galleries["G1" if s < 8 else "G2"]).append(row)
                    if template == 103 or name == "2.jpg":
                        vectors[name][:] = 0
    (meta / "ijbc_face_tid_mid.txt").write_text("\n".join(lines) + "\n")
    pairs = [(s, 100 + t, s == t) for s in range(13) for t in range(SUBJECTS)] + [(s, 200 + s, True) for s in range(13)]
    (meta / "ijbc_template_pair_label.txt").write_text("".join(f"{a} {b} {int(same)}\n" for a, b, same in pairs))
    for name, rows in galleries.items():
        (meta / f"ijbc_1N_gallery_{name}.csv").write_text("TEMPLATE_ID,SUBJECT_ID,FILENAME\n" + "\n".join(rows) + "\n")
    (meta / "ijbc_1N_probe_mixed.csv").write_text("TEMPLATE_ID,SUBJECT_ID,FILENAME\n" + "\n".join(probes) + "\n")
    return tmp_path, vectors


def pooled(protocol: ijb.Protocol, vectors: dict[str, np.ndarray]) -> ijb.Pooled:
    matrix = np.stack([vectors[name] for name in protocol.templates.image])
    return ijb.pool(protocol.templates, matrix, matrix.any(axis=1))


def by_hand(protocol: ijb.Protocol, vectors: dict[str, np.ndarray], template: int) -> np.ndarray | None:
    media: dict[int, list[np.ndarray]] = {}
    for name, t, m in zip(protocol.templates.image, protocol.templates.template, protocol.templates.medium, strict=True):
        if t == template and vectors[name].any():
            media.setdefault(int(m), []).append(vectors[name].astype(np.float64))
    if not media:
        return None
    total = sum(np.mean(frames, axis=0) for frames in media.values())
    return np.asarray(total / np.linalg.norm(total))


def test_frames_of_one_medium_count_as_one_image(made: tuple[Path, dict[str, np.ndarray]]) -> None:
    root, vectors = made
    protocol = ijb.read(root, "ijbc")
    found = pooled(protocol, vectors)
    assert len(found.template) == 41 and found.template[~found.ok].tolist() == [103]
    for template, vector, ok in zip(found.template, found.vectors, found.ok, strict=True):
        expected = by_hand(protocol, vectors, int(template))
        assert (expected is not None) == ok
        if expected is not None:
            np.testing.assert_allclose(vector, expected, atol=1e-6)


def test_weights_pull_a_template_towards_the_images_that_have_them(made: tuple[Path, dict[str, np.ndarray]]) -> None:
    root, vectors = made
    protocol = ijb.read(root, "ijbc")
    matrix = np.stack([vectors[name] for name in protocol.templates.image])
    ok = matrix.any(axis=1)
    same = ijb.pool(protocol.templates, matrix, ok, np.full(len(ok), 3.0))
    np.testing.assert_allclose(same.vectors, pooled(protocol, vectors).vectors, atol=1e-6)
    weight = np.where(np.array(protocol.templates.image) == "1.jpg", 1e6, 1.0)
    heavy = ijb.pool(protocol.templates, matrix, ok, weight)
    assert float(heavy.vectors[0] @ vectors["1.jpg"]) > 0.9999


def test_template_pairs_are_scored_and_those_without_a_face_are_counted(made: tuple[Path, dict[str, np.ndarray]]) -> None:
    root, vectors = made
    protocol = ijb.read(root, "ijbc")
    found = pooled(protocol, vectors)
    score = ijb.pair_scores(protocol, found)
    for (a, b), value in zip(protocol.pairs.tolist(), score, strict=True):
        one, two = by_hand(protocol, vectors, a), by_hand(protocol, vectors, b)
        assert np.isnan(value) if one is None or two is None else value == pytest.approx(float(one @ two), abs=1e-6)
    result = ijb.verify_templates(protocol, found, [0.1], resamples=50)
    assert (result.missing, result.missing_same, result.pairs, result.subjects) == (13, 1, 13 * 15 - 13, 14)
    there = np.isfinite(score)
    other = np.sort(score[there & ~protocol.same])[::-1]
    threshold = other[int(0.1 * len(other))] + 1e-6
    assert result.rates[0].fnmr.value == pytest.approx(float((score[there & protocol.same] < threshold).mean()), abs=1e-9)


def test_people_are_those_of_the_search_lists_or_follow_from_the_pairs(made: tuple[Path, dict[str, np.ndarray]]) -> None:
    root, vectors = made
    with_lists = ijb.read(root, "ijbc")
    for file in (root / "IJBC" / "meta").glob("*1N*"):
        file.unlink()
    without = ijb.read(root, "ijbc")
    assert not without.galleries
    rates = [ijb.verify_templates(one, pooled(one, vectors), [0.1], resamples=50).rates[0] for one in (with_lists, without)]
    assert rates[0].fnmr.value == rates[1].fnmr.value and rates[0].fnmr.low == pytest.approx(rates[1].fnmr.low, abs=1e-9)
    with pytest.raises(BadInput, match="no lists of galleries and probes"):
        ijb.search_templates(without, pooled(without, vectors))


def test_search_ranks_subjects_and_counts_a_template_without_a_face_as_not_found(made: tuple[Path, dict[str, np.ndarray]]) -> None:
    root, vectors = made
    protocol = ijb.read(root, "ijbc")
    result = ijb.search_templates(protocol, pooled(protocol, vectors), [0.25])
    ranks = []
    for template, subject in protocol.probes.items():
        if subject == "13":
            continue
        probe = by_hand(protocol, vectors, template)
        if probe is None:
            ranks.append(99)
            continue
        scores = {s: float(by_hand(protocol, vectors, s) @ probe) for s in range(13)}  # type: ignore[operator]
        ranks.append(sum(value >= scores[int(subject)] - 1e-6 for value in scores.values()))
    assert result.probes == 28 and result.missing == 1 and len(ranks) == 26
    for r in (1, 5, 10):
        assert result.closed[r].value == pytest.approx(np.mean(np.array(ranks) <= r))
    assert result.closed[1].low < result.closed[1].value < result.closed[1].high
    assert set(result.open) == {"G1", "G2"}
    one = result.open["G1"][0]
    assert (one.n_mated, one.n_nonmated, one.gallery) == (16, 12, 8) and one.fpir <= 0.25


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("ijbc_face_tid_mid.txt", lambda t: t.replace("1.jpg 0 1\n", "1.jpg 0\n", 1), "line 1: expected 'image template medium'"),
        ("ijbc_face_tid_mid.txt", lambda t: t.replace("1.jpg 0 1\n", "../1.jpg 0 1\n", 1), "line 1: expected 'image"),
        ("ijbc_face_tid_mid.txt", lambda t: t.replace("1.jpg 0 1\n", "1.jpg x 1\n", 1), "line 1: .*two whole numbers"),
        ("ijbc_face_tid_mid.txt", lambda _: "", "holds no templates"),
        ("ijbc_face_tid_mid.txt", lambda t: t.rstrip("\n"), "does not end with a line break"),
        ("ijbc_template_pair_label.txt", lambda t: t + "0 777 1\n", "template 777 has no images"),
        ("ijbc_template_pair_label.txt", lambda t: t + "0 101 2\n", "expected 'template template label' with label 0 or 1"),
        ("ijbc_1N_probe_mixed.csv", lambda t: t.replace("SUBJECT_ID", "PERSON"), "expected TEMPLATE_ID and SUBJECT_ID"),
        ("ijbc_1N_probe_mixed.csv", lambda t: t + "100,5,x\n", "template 100 is given to subject 5 and to 0"),
        ("ijbc_1N_gallery_G1.csv", lambda t: t + "999,5,x\n", "template 999 has no images"),
    ],
)
def test_a_damaged_file_is_one_line(made: tuple[Path, dict[str, np.ndarray]], file: str, change: object, said: str) -> None:
    root, _ = made
    path = root / "IJBC" / "meta" / file
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(BadInput, match=said) as caught:
        ijb.read(root, "ijbc")
    assert file in str(caught.value) and "\n" not in str(caught.value)


def test_labels_that_contradict_the_subjects_are_refused(made: tuple[Path, dict[str, np.ndarray]]) -> None:
    root, vectors = made
    path = root / "IJBC" / "meta" / "ijbc_template_pair_label.txt"
    path.write_text(path.read_text().replace("0 101 0\n", "0 101 1\n"))
    protocol = ijb.read(root, "ijbc")
    with pytest.raises(BadInput, match="the label of templates 0 and 101 is not what their subjects say"):
        ijb.verify_templates(protocol, pooled(protocol, vectors), [0.1])


@pytest.mark.slow
def test_the_command_prints_both_protocols(made: tuple[Path, dict[str, np.ndarray]], project_root: Path) -> None:
    root, vectors = made
    rows = [
        {
            **{"image_id": name, "identity": "x", "role": "probe", "detail": ""},
            **({"status": "ok", "embedding": vector.tolist()} if vector.any() else {"status": "no_face", "embedding": None}),
        }
        for name, vector in sorted(vectors.items())
    ]
    tables.write(root / "emb.parquet", tables.from_rows(rows, tables.embeddings_schema(D)))
    command = [sys.executable, project_root / "workflow" / "scripts" / "verify_protocol.py", "--protocol", "ijbc", "--root", root]
    done = subprocess.run([*command, "--embeddings", root / "emb.parquet"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["templates"] == 41 and found["templates_without_a_face"] == 1
    assert len(found["1:1"]["rates"]) == 6 and found["1:N"]["closed"]["1"]["value"] > 0.5
