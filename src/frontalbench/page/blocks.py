"""What the pose page looks like. Everything comes from this machine: no analytics, no fonts or scripts from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported

import gradio as gr

from frontalbench.errors import FrontalbenchError
from frontalbench.frontalize.base import FRONTAL
from frontalbench.images import RGB
from frontalbench.page.session import NewView, Photo, Pose, Session

TITLE = "Pose page"
KEPT_SECONDS = 600
"""How long uploads and drawn views lie on the disk."""
CSS = """
.gradio-container {max-width: 1100px !important; margin: 0 auto !important}
#views {flex-wrap: nowrap}
#views > * {min-width: 0 !important}
#numbers table {border-collapse: collapse; border: 0 !important}
#numbers td, #numbers th {padding: .25rem 1rem .25rem 0; text-align: left; border: 0 !important}
#numbers tr {border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important}
#numbers td:nth-child(2) {text-align: right; font-variant-numeric: tabular-nums}
.problem {border-left: 4px solid var(--error-border-color, #b91c1c); padding: .5rem .75rem; font-weight: 600}
@media (max-width: 640px) {#original, #view {height: 200px !important} #numbers .title {display: none}}
"""
ABOUT = """# Pose page
Drop a photograph, then drag. **Yaw above 0**: the face turns towards the image's left edge; **pitch above 0**: it looks down; **roll above 0**: it
leans clockwise. Nothing leaves this machine."""

Shown = tuple[RGB | None, str]


def build(session: Session, examples: Sequence[Path] = (), *, frontalizer: str = "mesh") -> gr.Blocks:
    """The page; ``examples``: images of synthetic people that can be taken instead of one's own. Its models run one at a time."""

    def opened(path: str | None, name: str, *pose: float) -> tuple[Any, ...]:
        if path is None:
            return (None, None, *show(None, name, pose))
        try:
            photo = session.open(Path(path).read_bytes())
        except FrontalbenchError as error:
            return (None, None, None, problem(error))
        return (photo, photo.view.image, *show(photo, name, pose))

    def show(photo: Photo | None, name: str, pose: Sequence[float]) -> Shown:
        if photo is None:
            return None, ""
        try:
            turned = session.turn(photo, name, _pose(pose))
        except FrontalbenchError as error:
            return None, problem(error)
        return turned.image, numbers(turned, session.titles)

    def moved(photo: Photo | None, name: str, *pose: float) -> Shown:
        return show(photo, name, pose)

    def front(photo: Photo | None, name: str) -> tuple[Any, ...]:
        return (*FRONTAL, *show(photo, name, FRONTAL))

    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        gr.Markdown(ABOUT)
        photo = gr.State(None)
        file = gr.File(label="Photograph", type="filepath", height=130, elem_id="file")
        if examples:
            gr.Examples([[str(path)] for path in examples], [file], label="Synthetic people (they do not exist)", elem_id="examples")
        with gr.Row():
            with gr.Column(scale=5, min_width=300), gr.Row(elem_id="views"):
                original = _image("Original", "original")
                view = _image("New view", "view")
            with gr.Column(scale=3, min_width=300):
                sliders = [
                    gr.Slider(-limit, limit, value=0, step=1, label=f"{angle} (degrees)", elem_id=angle.lower())
                    for angle, limit in (("Yaw", 90), ("Pitch", 45), ("Roll", 45))
                ]
                reset = gr.Button("Face the front", variant="primary", elem_id="front")
                names = session.choices()
                known = [name for _, name in names]
                model = gr.Dropdown(names, value=frontalizer if frontalizer in known else known[0], label="Frontalizer", elem_id="model")
        text = gr.HTML("", elem_id="numbers")
        # Turning waits until the turn before has been drawn, and then takes the last position: dragging never piles up work.
        one: dict[str, Any] = {"concurrency_id": "models", "concurrency_limit": 1, "api_visibility": "private"}
        last: dict[str, Any] = {**one, "trigger_mode": "always_last", "show_progress": "hidden"}
        file.change(opened, [file, model, *sliders], [photo, original, view, text], **one)
        model.change(moved, [photo, model, *sliders], [view, text], **one)
        for slider in sliders:
            gr.on([slider.input, slider.release], moved, [photo, model, *sliders], [view, text], **last)
        reset.click(front, [photo, model], [*sliders, view, text], **last)
    return page


def launch(page: gr.Blocks, host: str, port: int, *, wait: bool = True) -> str:
    """Serve the page at ``host``:``port`` (0: a free one) until it is stopped; ``wait`` False returns its address at once."""
    _, address, _ = page.launch(
        server_name=host,
        server_port=port or None,
        prevent_thread_lock=not wait,
        share=False,
        ssr_mode=False,
        footer_links=[],
        max_file_size="50mb",
        quiet=True,
        css=CSS,
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
    )
    return str(address)


def numbers(turned: NewView, titles: dict[str, str]) -> str:
    """HTML of what is said about a new view: its likeness to the original by backbone, and the time it took."""
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td>{"-" if value is None else f"{value:.3f}"}</td><td class="title">{escape(titles[name])}</td></tr>'
        for name, value in turned.similarity.items()
    )
    note = f'<p class="problem" role="alert">{escape(turned.note)}</p>' if turned.note else ""
    header = "<tr><th>Backbone</th><th>Similarity to the original</th><th class='title'></th></tr>"
    return f"{note}<table><thead>{header}</thead><tbody>{rows}</tbody></table><p>Drawn in {turned.seconds:.2f} s.</p>"


def problem(error: Exception) -> str:
    """HTML of one clear line."""
    return f'<p class="problem" role="alert">{escape(" ".join(str(error).split()))}</p>'


def _image(label: str, name: str) -> gr.Image:
    return gr.Image(label=label, elem_id=name, interactive=False, format="png", height=320, buttons=["download"], alt_text=label)


def _pose(values: Sequence[float]) -> Pose:
    yaw, pitch, roll = (float(value or 0.0) for value in values)
    return yaw, pitch, roll
