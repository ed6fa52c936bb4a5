"""Synthetic people: the turning directions, the search for measured angles, the image set and the shipped one."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frontalbench import images
from frontalbench.detect.select import Face
from frontalbench.errors import BadInput
from frontalbench.images import RGB
from frontalbench.synth import check, directions, image_set, people
from frontalbench.synth.directions import Directions
from frontalbench.synth.people import Bands, Instruments, Measured, Rejected, make_person, too_alike

SHIPPED = Path(__file__).resolve().parents[2] / "demo" / "synthetic"
D = 512


# A world in which a style says its pose and identity outright ------------------------------------------------------------------------------


def axis(place: int) -> np.ndarray:
    vector = np.zeros(D)
    vector[place] = 1.0
    return vector


TURN = Directions(mean=np.zeros(D), yaw=axis(0), pitch=axis(1), level=5.0)


class World:
    """Draws the style itself as an image of float bytes; a head turns less and less towards the profile, and nods while it turns."""

    def __init__(self) -> None:
        self.drawn = 0

    def style(self, noise: np.ndarray) -> np.ndarray:
        return np.asarray(noise, np.float32)

    def render(self, coarse: np.ndarray, fine: np.ndarray, size: int = 256) -> RGB:
        self.drawn += 1
        data = np.frombuffer(np.concatenate([coarse, fine]).astype(np.float32).tobytes(), np.uint8)
        return np.resize(data, (size, size, 3))


def style_of(image: RGB) -> tuple[np.ndarray, np.ndarray]:
    both = np.frombuffer(image.tobytes()[: 8 * D], np.float32).astype(float)
    return both[:D], both[D:]


@dataclass(frozen=True)
class Oracle(Instruments):
    """Reads pose and identity off the drawn style.

    ``nod``: degrees of pitch per degree of yaw; ``drift``: how fast identity goes beyond 8 degrees of yaw.
    """

    nod: float = 0.1
    drift: float = 0.01
    lost_beyond: float = 90.0
    crowd: int = 1

    def measure(self, image: RGB) -> Measured | None:
        coarse, fine = style_of(image)
        yaw = 70.0 * np.tanh(coarse[0] / 60.0)
        if abs(yaw) > self.lost_beyond:
            return None
        identity = 0.5 * (coarse[2:] + fine[2:]) / np.linalg.norm(coarse[2:])
        away = np.zeros(D - 2)
        away[0] = max(abs(yaw) - 8.0, 0.0) * self.drift
        embedding = identity + away
        embedding = (embedding / np.linalg.norm(embedding)).astype(np.float32)
        face = Face(np.array([0, 0, 1, 1], np.float32), 1.0, np.zeros((5, 2), np.float32), self.crowd)
        return Measured(face, (float(yaw), float(5.0 + coarse[1] + self.nod * yaw), 0.0), (embedding,))


def oracle(**options: Any) -> Oracle:
    return Oracle(None, None, (), **options)  # type: ignore[arg-type]


# Turning directions -----------------------------------------------------------------------------------------------------------------------


def test_the_fitted_direction_turns_by_one_degree_and_does_not_nod() -> None:
    """Styles of a known covariance, poses linear in them with noise: the fitted directions must move yaw alone, pitch alone."""
    random = np.random.default_rng(0)
    dimension = 40
    root = random.standard_normal((dimension, dimension)) / 6
    covariance = root @ root.T
    reading = random.standard_normal((dimension, 3)) * 8
    styles = random.standard_normal((3000, dimension)) @ root.T
    poses = styles @ reading + random.standard_normal((3000, 3)) + (0.0, 5.0, 0.0)
    fitted = directions.fit(styles, poses, np.zeros(dimension), covariance)
    assert np.allclose(reading.T @ fitted.yaw, [1, 0, 0], atol=0.03)
    assert np.allclose(reading.T @ fitted.pitch, [0, 1, 0], atol=0.03)
    # Of all directions that do this, none is less unusual (Lagrange: C^-1 d is a combination of the readings).
    precision = np.linalg.inv(covariance)
    least = covariance @ reading @ np.linalg.solve(reading.T @ covariance @ reading, [1, 0, 0])
    assert fitted.yaw @ precision @ fitted.yaw == pytest.approx(least @ precision @ least, rel=0.05)
    assert fitted.level == pytest.approx(poses[:, 1].mean())


def test_directions_survive_writing_and_reading(tmp_path: Path) -> None:
    directions.save(tmp_path / "directions.npz", TURN)
    read = directions.load(tmp_path / "directions.npz")
    assert np.array_equal(read.yaw, TURN.yaw)
    assert read.level == 5.0


def test_a_file_that_holds_no_directions_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    (tmp_path / "text.npz").write_text("no")
    for name in ("other.npz", "text.npz"):
        with pytest.raises(BadInput, match=f"{name}: not a file of turning directions"):
            directions.load(tmp_path / name)


def test_the_shipped_directions_are_those_of_this_generator() -> None:
    shipped = directions.load()
    assert shipped.mean.shape == shipped.yaw.shape == shipped.pitch.shape == (D,)
    assert 0.05 < np.linalg.norm(shipped.yaw) < 0.5  # per degree; styles have a length of about 21
    assert 0 < shipped.level < 10


# The search -------------------------------------------------------------------------------------------------------------------------------


def test_every_view_has_the_measured_yaw_that_was_asked_for_and_a_level_pitch() -> None:
    world = World()
    person = make_person(world, TURN, oracle(), seed=1, number=2)
    assert [view.step for view in person.views] == list(people.STEPS)
    for view in person.views:
        yaw, pitch, _ = view.measured.pose
        assert abs(yaw - int(view.step)) <= Bands().yaw
        assert abs(pitch - 5.0) <= Bands().pitch
    assert world.drawn <= 4 * len(people.STEPS)


def test_the_frontal_view_is_the_one_nearest_to_zero_and_the_second_reference_is_another_image() -> None:
    person = make_person(World(), TURN, oracle(), seed=1, number=2)
    assert person.frontal.step == 0
    assert not np.array_equal(person.second.image, person.frontal.image)
    assert abs(person.second.measured.pose[0]) == pytest.approx(people.SECOND_YAW, abs=Bands().yaw)
    assert person.second.measured.similarity(person.frontal.measured)[0] >= Bands().near


def test_the_same_seed_gives_the_same_person_and_another_seed_another() -> None:
    first, again, other = (make_person(World(), TURN, oracle(), seed=seed, number=0) for seed in (4, 4, 5))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first.views, again.views, strict=True))
    assert first.frontal.measured.similarity(other.frontal.measured)[0] < 0.3


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"lost_beyond": 45.0}, "no face found"), ({"drift": 0.5}, "similarity")],
)
def test_candidates_that_leave_their_bands_are_rejected_with_the_reason(options: dict[str, float], reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        make_person(World(), TURN, oracle(**options), seed=1, number=2)


def test_a_yaw_that_cannot_be_reached_is_rejected() -> None:
    with pytest.raises(Rejected, match="yaw 80: measured yaw"):
        make_person(World(), TURN, oracle(), seed=1, number=2, steps=(0, 80))


def test_doubles_are_refused_after_one_image() -> None:
    one, two = (make_person(World(), TURN, oracle(), seed=1, number=number) for number in (0, 1))
    assert too_alike(one.frontal, [two]) is None
    world = World()
    with pytest.raises(Rejected, match=r"similarity 1\.00 to candidate 0"):
        make_person(world, TURN, oracle(), seed=1, number=0, others=[two, one])
    assert world.drawn <= people.TRIES


def test_a_second_face_in_an_image_is_refused() -> None:
    with pytest.raises(Rejected, match="2 faces found"):
        make_person(World(), TURN, oracle(crowd=2), seed=1, number=0)


# The set ----------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    found = [(f"synth_{i:02d}", make_person(World(), TURN, oracle(), seed=3, number=i, size=64)) for i in (1, 2)]
    image_set.write(folder, found, seed=3, size=64)
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "index.csv").read_text(encoding="utf-8"))))


def test_a_written_set_lists_every_image_with_its_role_and_pose(made: Path) -> None:
    listed = rows(made)
    assert tuple(listed[0]) == image_set.COLUMNS
    assert sorted(row["image"] for row in listed) == sorted(str(p.relative_to(made)) for p in made.rglob("*.jpg"))
    assert Counter(row["role"] for row in listed) == {"reference": 4, "probe": 16}
    for row in listed:
        assert Path(row["image"]).parts[1] == ("GT" if row["role"] == "reference" else "Angle")


def test_a_recipe_draws_the_same_bytes_again(made: Path) -> None:
    content = image_set.read_recipe(made / "recipe.json")
    drawn = dict(image_set.draw(World(), TURN, content))
    assert sorted(drawn) == sorted(str(p.relative_to(made)) for p in made.rglob("*.jpg"))
    assert all((made / image).read_bytes() == data for image, data in drawn.items())


def test_a_set_is_measured_by_step(made: Path) -> None:
    """Images of the test's world are no photographs, so measured things are read from their names: person 2 at 52 degrees is unlike herself."""

    @dataclass(frozen=True)
    class Names(Instruments):
        def measure(self, image: RGB) -> Measured | None:
            identity, step = next(names)
            vector = np.eye(3, dtype=np.float32)[0 if (identity, step) == ("synth_02", "52") else int(identity[-1])]
            face = Face(np.zeros(4, np.float32), 1.0, np.zeros((5, 2), np.float32), 1)
            return None if step == "-52" else Measured(face, (float(step.replace("b", "5")) + 1, 0.0, 0.0), (vector,))

    names = ((row["identity"], row["nominal_step"]) for row in rows(made))
    result = check.check(made, Names(None, None, (None,)))  # type: ignore[arg-type]
    by_step = {line.step: line for line in result.lines}
    assert list(by_step) == ["-52", "-39", "-26", "-13", "0", "13", "26", "39", "52", "b"]
    assert (by_step["-39"].genuine, by_step["-39"].rank1, by_step["-39"].yaw) == ((1.0,), (1.0,), (-38.0, 0.0))
    assert by_step["52"].genuine == (0.5,)
    assert by_step["-52"].count == 0
    assert by_step["-52"].lost == 2
    assert result.impostor == ((0.0, 0.0),)
    table = check.as_markdown(result, ["names"])
    assert "| -39 | 2 | 0 | -38.0 +- 0.0 | 1.00 | 1.00 |" in table
    assert "| -52 | 0 | 2 | - | - | - |" in table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "7"}, "'seed' should be int"),
        ({"truncation": 0.9}, "this version uses"),
        ({"pictures": {"../../x/GT/a.jpg": {}}}, "should be <identity>"),
        ({"pictures": {"/etc/GT.jpg": {}}}, "should be <identity>"),
        ({"pictures": {"a/GT/a.jpg": {"number": 1}}}, "numbers number, a, b and mix"),
        ({"pictures": []}, "'pictures'"),
    ],
)
def test_a_recipe_of_another_make_is_refused(made: Path, tmp_path: Path, change: dict[str, object], message: str) -> None:
    content = json.loads((made / "recipe.json").read_text(encoding="utf-8")) | change
    (tmp_path / "recipe.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BadInput, match=message):
        image_set.read_recipe(tmp_path / "recipe.json")


# The shipped set --------------------------------------------------------------------------------------------------------------------------


def test_the_shipped_set_is_complete_small_and_readable() -> None:
    listed = rows(SHIPPED)
    people_in = {row["identity"] for row in listed}
    assert len(people_in) >= 16
    files = {str(p.relative_to(SHIPPED)) for p in SHIPPED.rglob("*.jpg")}
    assert files == {row["image"] for row in listed}
    assert sum(p.stat().st_size for p in SHIPPED.rglob("*.jpg")) < 4_000_000
    for identity in people_in:
        own = [row for row in listed if row["identity"] == identity]
        assert sorted(row["nominal_step"] for row in own) == sorted([*map(str, people.STEPS), "b"])
        assert sum(row["role"] == "reference" for row in own) == 2
    assert images.decode((SHIPPED / listed[0]["image"]).read_bytes()).shape == (256, 256, 3)


def test_the_shipped_poses_are_measured_near_the_steps_and_not_copied_from_them() -> None:
    listed = [row for row in rows(SHIPPED) if row["nominal_step"] != "b"]
    errors = np.array([float(row["yaw"]) - float(row["nominal_step"]) for row in listed])
    assert np.abs(errors).max() <= Bands().yaw
    assert errors.std() > 0.2
    for row in listed:
        assert (row["role"] == "reference") == (row["nominal_step"] == "0")
