"""The contract of files with a foreign system: what it is given, and what becomes of whatever it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from frontalbench import images, status
from frontalbench.catalogue.cards import load as load_card
from frontalbench.errors import BadConfig
from frontalbench.external import clips, job, picking, running
from frontalbench.external.job import Line, NoResult
from frontalbench.external.settings import Wanted, read
from frontalbench.frontalize.base import Outcome, View
from frontalbench.frontalize.driver import Driver
from tests.project import ROOT
from tests.unit.externalkit import COPY, adapter, card, system, view


def words(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def test_an_image_comes_back_as_the_system_gave_it(tmp_path: Path) -> None:
    views = [view(1), view(2, (64, 64))]
    outcomes = system(tmp_path, COPY).frontalize(views)
    assert words(outcomes) == [status.OK, status.OK] and [one.seconds for one in outcomes] == [0.25, 0.25]
    for one, made in zip(views, outcomes, strict=True):
        assert made.image is not None and np.array_equal(made.image, one.image)


def test_the_manifest_says_everything_to_the_last_bit(tmp_path: Path) -> None:
    body = "(job / 'out' / 'seen.json').write_text((job / 'in' / 'manifest.json').read_text())\n" + COPY
    asked = view(3)
    assert asked.face is not None
    stranger = system(tmp_path, body, options={"steps": 25, "prompt": "front view"}, seed=7)
    with stranger.turned([(asked.image, asked.face, (-22.5, 0.0, 1.0))]) as done:
        seen = json.loads((done.job.folder / "out" / "seen.json").read_text())
    assert (seen["protocol"], seen["seed"], seen["options"]) == (1, 7, {"steps": 25, "prompt": "front view"})
    assert seen["repository"] is None and seen["assets"] is None and seen["driver"] is None
    image = seen["pictures"][0]
    assert image["pose"] == {"yaw": -22.5, "pitch": 0.0, "roll": 1.0} and (image["width"], image["height"]) == (40, 30)
    assert np.array_equal(np.array(image["face"]["box"], np.float32), asked.face.box)
    assert np.array_equal(np.array(image["face"]["points"], np.float32), asked.face.points)


def test_a_view_without_a_face_is_not_handed_out(tmp_path: Path) -> None:
    outcomes = system(tmp_path, COPY).frontalize([View(view().image, None), view()])
    assert words(outcomes) == [status.NO_FACE, status.OK]
    # Nothing to do is nothing started.
    assert words(system(tmp_path, "raise SystemExit(9)").frontalize([View(view().image, None)])) == [status.NO_FACE]


def test_a_reason_becomes_the_row(tmp_path: Path) -> None:
    body = """
    a, b, c = manifest["pictures"]
    say(a["name"], reason="CUDA out of memory.  Tried to allocate 20 GiB\\n")
    say(b["name"], reason="no face here", status="no_face", seconds=1)
    say(c["name"], reason="", status="ok")
    """
    outcomes = system(tmp_path, body).frontalize([view(i) for i in range(3)])
    assert words(outcomes) == [status.MODEL_ERROR, status.NO_FACE, status.MODEL_ERROR]
    assert [one.detail for one in outcomes] == [
        "CUDA out of memory. Tried to allocate 20 GiB",
        "no face here",
        "the adapter gave no reason",
    ]


def test_a_missing_line_is_a_model_error(tmp_path: Path) -> None:
    body = "asked = manifest['pictures'][1]\ncopy(asked); say(asked['name'], ok=True)"
    outcomes = system(tmp_path, body).frontalize([view(i) for i in range(3)])
    assert words(outcomes) == [status.MODEL_ERROR, status.OK, status.MODEL_ERROR]
    assert "ended without a line for this image" in outcomes[0].detail


def test_a_crash_after_half_keeps_the_half_and_costs_one_image(tmp_path: Path) -> None:
    body = """
    for asked in manifest["pictures"]:
        if asked["name"] == "000002":
            print("Segmentation fault (core dumped)", flush=True)
            os._exit(139)
        copy(asked); say(asked["name"], ok=True)
    """
    outcomes = system(tmp_path, body).frontalize([view(i) for i in range(5)])
    assert words(outcomes) == [status.OK, status.OK, status.MODEL_ERROR, status.OK, status.OK]
    assert outcomes[2].detail == "the adapter ended with 139: Segmentation fault (core dumped)"
    without = system(tmp_path, body, restarts=0).frontalize([view(i) for i in range(5)])
    assert words(without) == [status.OK, status.OK, *[status.MODEL_ERROR] * 3]
    assert without[4].detail == "not reached: the adapter ended with 139: Segmentation fault (core dumped)"


def test_a_system_that_dies_at_once_is_started_once(tmp_path: Path) -> None:
    body = f"open({str(tmp_path / 'starts')!r}, 'a').write('x')\nimport a_package_that_is_not_there"
    outcomes = system(tmp_path, body).frontalize([view(i) for i in range(4)])
    assert (tmp_path / "starts").read_text() == "x"
    assert words(outcomes) == [status.MODEL_ERROR] * 4 and "No module named 'a_package_that_is_not_there'" in outcomes[3].detail


def test_a_process_that_the_kernel_ended_is_told_from_one_that_gave_up(tmp_path: Path) -> None:
    outcomes = system(tmp_path, "os.kill(os.getpid(), 9)").frontalize([view()])
    assert outcomes[0].detail.startswith("the adapter was ended by SIGKILL (usually for want of memory)")


@pytest.mark.slow
def test_an_image_that_hangs_costs_itself_alone(tmp_path: Path) -> None:
    body = """
    for asked in manifest["pictures"]:
        if asked["name"] == "000001":
            time.sleep(600)
        copy(asked); say(asked["name"], ok=True)
    """
    began = time.monotonic()
    outcomes = system(tmp_path, body, seconds_per_picture=1.5, seconds_to_start=10).frontalize([view(i) for i in range(3)])
    assert words(outcomes) == [status.OK, status.MODEL_ERROR, status.OK] and outcomes[1].detail == "took more than 1.5 seconds"
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_the_whole_batch_has_its_time(tmp_path: Path) -> None:
    body = "for asked in manifest['pictures']:\n    time.sleep(0.7); copy(asked); say(asked['name'], ok=True)"
    outcomes = system(tmp_path, body, seconds_per_batch=2.0).frontalize([view(i) for i in range(6)])
    assert status.OK in words(outcomes) and words(outcomes)[-1] == status.MODEL_ERROR
    assert "the whole batch took more than its time" in outcomes[-1].detail


def test_nothing_that_a_system_started_outlives_it(tmp_path: Path) -> None:
    body = """
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    for asked in manifest["pictures"]:
        copy(asked); say(asked["name"], ok=True, seconds=child.pid)
    """
    outcomes = system(tmp_path, body).frontalize([view()])
    pid = int(outcomes[0].seconds)
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} still runs")


def test_views_with_poses_of_their_own_are_one_start(tmp_path: Path) -> None:
    body = "(job / 'out' / 'poses.json').write_text(json.dumps([p['pose']['yaw'] for p in manifest['pictures']]))\n" + COPY
    stranger = system(tmp_path, body)
    stranger.takes_target_pose = True
    stranger._keep = tmp_path / "kept"
    asked = [(view(1), (22.0, 0.0, 0.0)), (View(view().image, None), (22.0, 0.0, 0.0)), (view(2), (-45.0, 0.0, 0.0))]
    outcomes = list(stranger.frontalize_each(asked))
    assert words(outcomes) == [status.OK, status.NO_FACE, status.OK]
    assert outcomes[2].image is not None and np.array_equal(outcomes[2].image, asked[2][0].image)
    (told,) = (tmp_path / "kept").glob("*/out/poses.json")
    assert json.loads(told.read_text()) == [22.0, -45.0]


@pytest.mark.slow
def test_a_job_that_is_killed_outright_takes_the_foreign_system_and_what_it_started_with_it(tmp_path: Path) -> None:
    body = """
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    (job / "pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(300)
    """
    place = tmp_path / "project"
    adapter(place, body)
    program = f"""
import sys; from pathlib import Path
from tests.unit.externalkit import HEAD, card, system, view
import textwrap
stranger = system(Path({str(place)!r}), {textwrap.dedent(body)!r})
stranger._keep = Path({str(tmp_path / "kept")!r})
stranger.frontalize([view()])
"""
    ours = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)])}
    )
    try:
        told = _until(lambda: next((path for path in tmp_path.glob("kept/*/pids") if path.read_text()), None))
        found = [psutil.Process(int(pid)) for pid in told.read_text().split()]
    finally:
        ours.kill()
        ours.wait()
    _, alive = psutil.wait_procs(found, timeout=20)
    outlived = [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    for one in outlived:
        one.kill()
    assert not outlived


def _until(look: Callable[[], Path | None], seconds: float = 60) -> Path:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_a_system_that_lingers_after_its_last_image_costs_nothing(tmp_path: Path) -> None:
    outcomes = system(tmp_path, COPY + "time.sleep(600)\n", seconds_per_picture=1.0).frontalize([view(), view(1)])
    assert words(outcomes) == [status.OK, status.OK]


def test_home_and_caches_are_the_jobs_own_and_secrets_stay_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    body = """
    Path.home().joinpath("left_behind").write_text("x")
    seen = {name: os.environ.get(name) for name in ("HOME", "TMPDIR", "HF_HOME", "HF_TOKEN", "PYTHONPATH", "AWS_SECRET", "OMP_NUM_THREADS")}
    seen["cwd"], seen["job"] = os.getcwd(), str(job)
    (job / "out" / "seen.json").write_text(json.dumps(seen))
    """
    with system(tmp_path, textwrap.dedent(body) + COPY).turned([(view().image, view().face, (0, 0, 0))]) as done:
        seen = json.loads((done.job.folder / "out" / "seen.json").read_text())
        folder = str(done.job.folder)
    assert seen["cwd"] == seen["job"] == folder and all(seen[name].startswith(folder) for name in ("HOME", "TMPDIR", "HF_HOME"))
    assert seen["HF_TOKEN"] is None and seen["PYTHONPATH"] is None and seen["OMP_NUM_THREADS"] == "1"
    assert not Path(folder).exists(), "what a foreign system wrote goes with its job"


def test_a_job_can_be_kept_for_a_look(tmp_path: Path) -> None:
    stranger = system(tmp_path, "print('hello from outside')\n" + COPY)
    stranger._keep = tmp_path / "kept"
    stranger.frontalize([view()])
    kept = next((tmp_path / "kept").iterdir())
    assert (kept / "in" / "000000.png").is_file() and "hello from outside" in (kept / "log.txt").read_text()


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("../in/000000.png", "outside of out/"),
        ("/etc/passwd", "outside of out/"),
        (".", "outside of out/"),
        ("not_there.png", "is not there"),
        ("link.png", "is a link"),
        ("door/000000.png", "is a link"),
        ("pipe.png", "no plain file"),
    ],
)
def test_a_result_is_a_plain_file_of_the_job(tmp_path: Path, file: str, what: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "000000.png").write_bytes(images.encode_png(view().image))
    (tmp_path / "out" / "link.png").symlink_to(tmp_path / "in" / "000000.png")
    (tmp_path / "out" / "door").symlink_to(tmp_path / "in")
    os.mkfifo(tmp_path / "out" / "pipe.png")
    with pytest.raises(NoResult, match=what):
        job.result(tmp_path, Line("000000", file=file))


def test_lines_that_make_no_sense_are_counted_and_never_raise(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    good = json.dumps({"name": "000000", "ok": True, "seconds": -1, "gpu_mb": "lots"})
    nasty = [
        "{",
        "[]",
        '{"name": 1, "ok": true}',
        '{"name": "../x", "ok": true}',
        '{"name": "000001"}',
        "[" * 5000,
        '{"name":"000002","ok":1}',
    ]
    text = "\n".join([*nasty, good, good.replace("true", "false")]) + "\n" + '{"name": "000003", "ok": tr'
    (tmp_path / "out" / "status.jsonl").write_bytes(text.encode() + b"\xff")
    found, odd = job.lines(tmp_path)
    assert odd == len(nasty) + 1 and found == {"000000": Line("000000")}


def test_a_result_that_is_no_image_is_a_row(tmp_path: Path) -> None:
    body = (
        "for asked in manifest['pictures']:\n    (job / 'out' / (asked['name'] + '.png')).write_text('hello'); say(asked['name'], ok=True)"
    )
    assert "is no image" in system(tmp_path, body).frontalize([view()])[0].detail


@pytest.mark.parametrize(
    ("size", "what"),
    [("any", ""), ("photograph", ""), (256, "wrong size: 40 x 30 pixels, expected 256 x 256"), ([40, 30], ""), ([30, 40], "wrong size")],
)
def test_the_wrong_size_is_a_row(tmp_path: Path, size: object, what: str) -> None:
    outcome = system(tmp_path, COPY, size=size).frontalize([view()])[0]
    assert outcome.status == (status.MODEL_ERROR if what else status.OK) and what in outcome.detail


def clip(path: Path, count: int, size: int = 64) -> Path:
    """A clip whose frame ``i`` has the grey value 20 * i."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 16, (size, size))
    for i in range(count):
        writer.write(np.full((size, size, 3), 20 * i, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(("pick", "grey"), [("first", 0), ("middle", 100), ("last", 180)])
def test_a_frame_of_a_clip_is_picked(tmp_path: Path, pick: str, grey: int) -> None:
    made = picking.image(clip(tmp_path / "x.mp4", 10), Wanted(pick=pick), (64, 64), (0, 0, 0))
    assert abs(float(made.mean()) - grey) < 4


def test_a_folder_of_frames_is_a_clip(tmp_path: Path) -> None:
    for i in (2, 0, 1):
        (tmp_path / f"{i:04d}.png").write_bytes(images.encode_png(np.full((8, 8, 3), i, np.uint8)))
    (tmp_path / "notes.txt").write_text("no frame")
    assert picking.image(tmp_path, Wanted(pick="last"), (8, 8), (0, 0, 0)).max() == 2
    assert len(list(picking.frames(tmp_path))) == 3


def test_a_clip_that_is_too_short_is_a_row(tmp_path: Path) -> None:
    with pytest.raises(NoResult, match="clip too short: 3 frames, expected at least 16"):
        picking.image(clip(tmp_path / "x.mp4", 3), Wanted(least_frames=16), (64, 64), (0, 0, 0))
    (tmp_path / "y.mp4").write_bytes(b"no clip at all")
    with pytest.raises(NoResult, match="no frame that can be read"):
        picking.image(tmp_path / "y.mp4", Wanted(), (64, 64), (0, 0, 0))
    (tmp_path / "z.png").write_bytes(images.encode_png(view().image))
    with pytest.raises(NoResult, match="one image, expected a clip"):
        picking.image(tmp_path / "z.png", Wanted(least_frames=16), (64, 64), (0, 0, 0))


def test_a_part_of_the_frame_is_cut_out() -> None:
    frame = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)
    assert np.array_equal(picking.cut_out(frame, (1 / 3, 0.0, 2 / 3, 1.0)), frame[:, 3:6])
    assert picking.cut_out(frame[:1, :1], (0.0, 0.0, 0.1, 0.1)).shape == (1, 1, 3)


class _Eye:
    """Finds a face where a frame is not black, and says that its yaw is the frame's grey value less 100."""

    name = "eye"

    def detect(self, image: np.ndarray) -> object:
        from frontalbench.detect.base import Detections

        if image.max() < 8:
            return Detections.none()
        height, width = image.shape[:2]
        box = np.array([[width * 0.4, height * 0.4, width * 0.6, height * 0.7]], np.float32)
        points = np.array([[[0.45, 0.5], [0.55, 0.5], [0.5, 0.57], [0.46, 0.65], [0.54, 0.65]]], np.float32) * np.float32([width, height])
        return Detections(box, np.array([0.9], np.float32), points)

    def glance(self, image: np.ndarray, longest: int) -> object:
        from frontalbench.detect.base import Detections

        return Detections.none()

    def estimate(self, image: np.ndarray, face: object) -> tuple[float, float, float, float]:
        return float(image.mean()) - 100, 0.0, 0.0, 1.0


def test_the_best_posed_frame_is_the_one_nearest_to_what_was_asked(tmp_path: Path) -> None:
    eyes = picking.Eyes(_Eye(), _Eye())  # type: ignore[arg-type]
    for yaw, grey in ((0.0, 100), (-40.0, 60), (-90.0, 20)):
        made = picking.image(clip(tmp_path / "x.mp4", 10), Wanted(pick="best_posed"), (64, 64), (yaw, 0, 0), eyes)
        assert abs(float(made.mean()) - grey) < 4
    with pytest.raises(NoResult, match="no face in any of the 1 frames"):
        picking.image(clip(tmp_path / "black.mp4", 1), Wanted(pick="best_posed"), (64, 64), (0, 0, 0), eyes)


def test_the_face_found_again_is_cut_around_and_kept_inside() -> None:
    eyes = picking.Eyes(_Eye(), None)  # type: ignore[arg-type]
    frame = np.full((100, 200, 3), 50, np.uint8)
    assert picking.around_face(frame, 2.0, eyes).shape == (80, 80, 3)
    assert picking.around_face(frame, 5.0, eyes).shape == (100, 100, 3)
    with pytest.raises(NoResult, match="no face was found again"):
        picking.around_face(np.zeros((50, 50, 3), np.uint8), 2.0, eyes)


def _driver() -> Driver:
    keys, yaws = ("front", "l13", "l26", "r13", "r26"), (0.0, 13.0, 26.0, -13.0, -26.0)
    images = tuple(np.full((32, 32, 3), 10 * i, np.uint8) for i in range(5))
    return Driver("somebody", keys, tuple((yaw, 0.0, 0.0) for yaw in yaws), images)


def test_a_driving_clip_turns_from_its_side_to_the_front() -> None:
    greys = [int(frame[0, 0, 0]) for frame in clips.turning(_driver(), "left", 17)]
    assert greys[0] == 20 and greys[-6:] == [0] * 6 and sorted(set(greys), reverse=True) == [20, 10, 0]
    assert greys == sorted(greys, reverse=True)
    assert int(clips.turning(_driver(), "right", 16)[0][0, 0, 0]) == 40


@pytest.mark.parametrize("frames", [16, 17, 33])
def test_driving_clips_have_the_length_that_was_asked_for(tmp_path: Path, frames: int) -> None:
    said = clips.write(tmp_path / "driver", _driver(), frames)
    for name in ("still", "left", "right"):
        assert len(list(picking.frames(tmp_path / said["clips"][name]["file"]))) == frames
        assert len(list(picking.frames(tmp_path / said["clips"][name]["folder"]))) == frames
    assert said["pictures"]["l26"] == {"file": "driver/l26.png", "yaw": 26.0, "pitch": 0.0, "roll": 0.0}


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"pick": "lsat"}, "params.pick should be one of"),
        ({"size": "big"}, "params.size should be"),
        ({"cut": [0.5, 0, 0.2, 1]}, "params.cut should be"),
        ({"seconds_per_picture": 0}, "params.seconds_per_picture should be"),
        ({"step": 3}, "params.step is not known"),
    ],
)
def test_a_wrong_param_is_one_line(tmp_path: Path, params: dict[str, object], what: str) -> None:
    (tmp_path / "adapters" / "stranger").mkdir(parents=True)
    with pytest.raises(BadConfig, match=what) as caught:
        read(card(tmp_path, params=params))
    assert len(str(caught.value).splitlines()) == 1


def test_a_card_without_its_part_is_refused(tmp_path: Path) -> None:
    path = card(tmp_path).path
    path.write_text(path.read_text().replace("external:\n  adapter: stranger\n", ""))
    with pytest.raises(BadConfig, match="external: missing"):
        load_card(path)


def test_variables_name_the_environment_of_the_interpreter(tmp_path: Path) -> None:
    python = tmp_path / "environment" / "bin" / "python"
    python.parent.mkdir(parents=True)
    found = running.environment(tmp_path, python, 2, {"PATH": "/usr/bin", "SSH_AUTH_SOCK": "x", "NVIDIA_VISIBLE_DEVICES": "0"})
    assert found["PATH"] == f"{python.parent}:/usr/bin" and found["VIRTUAL_ENV"] == str(tmp_path / "environment")
    assert "SSH_AUTH_SOCK" not in found and found["NVIDIA_VISIBLE_DEVICES"] == "0" and found["OMP_NUM_THREADS"] == "2"
    (tmp_path / "environment" / "conda-meta").mkdir()
    assert running.environment(tmp_path, python, 2, {})["CONDA_PREFIX"] == str(tmp_path / "environment")


def test_an_interpreter_that_is_gone_is_a_row(tmp_path: Path) -> None:
    stranger = system(tmp_path, COPY)
    stranger.places = type(stranger.places)(tmp_path / "bin" / "python", stranger.places.program)
    assert "could not be started" in stranger.frontalize([view()])[0].detail
    assert Path(sys.executable).exists()
