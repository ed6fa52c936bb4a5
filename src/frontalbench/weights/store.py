"""The weight store: verified weight files, fetched once, under ``weights/`` of the project ($FRONTALBENCH_STORE overrides; without a
project in the user's cache).

A stored file is called ``<first 16 digits of its sha256>-<file>``. Before a path leaves this module its bytes were checked against the card's sha256.
Order: the store, the mirror folders of $FRONTALBENCH_WEIGHTS, the packs that InsightFace has downloaded, then the card's sources in their order.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import FileSource, ModelCard, Source, UrlSource, WeightFile
from frontalbench.errors import BadConfig, BadInput, WeightsMissing
from frontalbench.files import atomic, locks
from frontalbench.weights import archives, checksums, download, local, packages
from frontalbench.weights.download import Progress
from frontalbench.weights.faults import SourceFault

STORE_VARIABLE = "FRONTALBENCH_STORE"

PRESENT, MIRROR, ABSENT = "present", "mirror", "absent"


@dataclass(frozen=True)
class Requirement:
    """One weight file that a set of cards needs; ``card`` is the first card that names it."""

    card: ModelCard
    weight: WeightFile


@dataclass(frozen=True)
class Availability:
    """Where the files of one card are, found without the network.

    ``state``: the worst of ``files`` (key -> ``present`` in the store, ``mirror``: in a mirror folder or a ``file`` source, ``absent``); a card
    without weights is ``present``.
    """

    state: str
    files: Mapping[str, str]


def folder() -> Path:
    """The store's folder; it need not exist yet."""
    named = os.environ.get(STORE_VARIABLE, "").strip()
    return Path(named).expanduser().resolve() if named else cards.state_root() / "weights"


def locate(card: ModelCard, key: str = "model") -> Path:
    """The verified local file of ``card``, without the network and without writing anything.

    Raises :class:`WeightsMissing` when it is not here, :class:`BadConfig` when the card has no such key.
    """
    weight = _weight(card, key)
    found, wrong = _look(card, weight)
    if found is None:
        unpinned = weight.sha256 is None
        raise WeightsMissing(_unpinned_line(card, weight) if unpinned else _missing_line(card, weight, wrong or ["not fetched yet"]))
    return found


def fetch(card: ModelCard, key: str = "model", progress: Progress | None = None) -> Path:
    """The verified local file of ``card``, fetched if need be. ``progress(label, done bytes, total bytes or None)`` is called while it loads.

    Raises :class:`WeightsMissing`, one line with every source and why it failed, and :class:`BadConfig` when the card has no such key.
    """
    with _Session() as session:
        return _fetch(card, key, session, progress)


def fetch_card(card: ModelCard, progress: Progress | None = None) -> dict[str, Path]:
    """All weight files of ``card`` (key -> path) and of the cards that it uses. Raises :class:`WeightsMissing` for the first that is out of reach."""
    fetch_all([card], progress)
    return {key: locate(card, key) for key in card.weights}


def fetch_all(wanted: Iterable[ModelCard], progress: Progress | None = None) -> list[Path]:
    """All weight files of ``wanted`` and of the cards that they use, in the order of :func:`requirements`; an archive is loaded once for all of them.

    Raises :class:`WeightsMissing` with one line per file that is out of reach, after all the others have been fetched.
    """
    paths, missing = [], []
    with _Session() as session:
        for needed in requirements(wanted):
            try:
                paths.append(_fetch(needed.card, needed.weight.key, session, progress))
            except WeightsMissing as error:
                missing.append(str(error))
    if missing:
        raise WeightsMissing("\n".join(missing))
    return paths


def requirements(wanted: Iterable[ModelCard]) -> list[Requirement]:
    """The weight files that ``wanted`` and the cards they use need, each once, in the order of the cards (a used card before its user)."""
    found: dict[tuple[str, str | None], Requirement] = {}

    def visit(card: ModelCard) -> None:
        for used in card.used_cards():
            visit(used)
        for weight in card.weights.values():
            found.setdefault((weight.file, weight.sha256), Requirement(card, weight))

    for card in wanted:
        visit(card)
    return list(found.values())


def status(card: ModelCard) -> Availability:
    """Where the card's own files are, without the network."""
    files = {key: _state(card, weight) for key, weight in card.weights.items()}
    worst = max(files.values(), key=(PRESENT, MIRROR, ABSENT).index, default=PRESENT)
    return Availability(worst, MappingProxyType(files))


def available(card: ModelCard) -> bool:
    """Whether every file that ``card`` and the cards it uses need is on this machine, in the store, a mirror folder or an archive of one."""
    return all(_state(needed.card, needed.weight) != ABSENT for needed in requirements([card]))


def provide(path: str | os.PathLike[str], wanted: Iterable[ModelCard]) -> list[Requirement]:
    """Copy what ``path`` holds into the store: a weight file of one of ``wanted`` (or of a card they use), or an archive with members that they need.

    Returns the requirements that were met. Raises :class:`BadInput` when ``path`` cannot be read or nothing in it is needed.
    """
    file = Path(path)
    if not file.is_file():
        raise BadInput(f"{path}: {'a folder; name the file in it' if file.is_dir() else 'no such file'}")
    if file.stat().st_size == 0:
        raise BadInput(f"{path}: the file is empty; fetch it again")
    met: list[Requirement] = []
    needed = [each for each in requirements(wanted) if each.weight.sha256 is not None]
    digest = checksums.sha256(file)
    for each in needed:
        if each.weight.sha256 == digest:
            _adopt(file, each.weight)
            met.append(each)
            continue
        for source in each.weight.sources:
            if local.is_archive_of(file, source):
                try:
                    _extract(file, source, each.weight)
                except SourceFault as fault:
                    raise BadInput(f"{path}: {fault}") from None
                except OSError as error:
                    raise _not_stored(each.weight, error) from error
                met.append(each)
                break
    if not met:
        if _web_page(file):
            raise BadInput(f"{path}: a web page and no weight file (a site asks to confirm, or to log in); open the address in a browser")
        for each in requirements(wanted):
            if each.weight.sha256 is None and each.weight.file == file.name:
                others = ", ".join(_namesakes(each))
                raise BadInput(
                    f"{path}: nobody has published the sha256 of {file.name}; if you trust this copy, write bytes: {file.stat().st_size} and "
                    f"sha256: {digest} into {_card_place(each.card)} (weights.{each.weight.key}), then run this again"
                    f"{f'; a file of this name, perhaps the same, stands unpinned in {others} too' if others else ''}"
                )
        raise BadInput(f"{path}: sha256 {digest} belongs to no weight of these cards, and its name is not the archive of one")
    return met


def _namesakes(needed: Requirement) -> list[str]:
    """Other cards of the kind that want a file of the same name and state no sha256."""
    try:
        cards_beside = cards.all_cards(needed.card.kind)
    except BadConfig:  # a broken card is told to whoever asks for it
        return []
    return [
        card.name
        for card in cards_beside
        if card.name != needed.card.name
        and any(weight.file == needed.weight.file and weight.sha256 is None for weight in card.weights.values())
    ]


def _web_page(file: Path) -> bool:
    with file.open("rb") as handle:
        begins = handle.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return begins.startswith((b"<!doctype html", b"<html"))


def stored_path(weight: WeightFile) -> Path | None:
    """Where the store keeps ``weight`` (whether or not it is there); None when its sha256 is unknown."""
    return None if weight.sha256 is None else folder() / f"{weight.sha256[:16]}-{weight.file}"


class _Session:
    """What one call shares between its files: archives that were loaded, hosts that did not answer. Its folder goes when the call ends."""

    def __init__(self) -> None:
        self.unreachable: set[str] = set()
        self._stack = contextlib.ExitStack()
        self._loaded: dict[tuple[str, ...], Path | SourceFault] = {}
        self._folder: Path | None = None

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def archive(self, source: Source, progress: Progress | None) -> Path:
        """The archive of ``source`` on disk, until the session ends. Raises :class:`SourceFault` (again, at once, for one that failed before)."""
        if isinstance(source, UrlSource):
            key: tuple[str, ...] = ("url", source.url)
        elif isinstance(source, FileSource):
            raise TypeError("a file source has no archive")
        else:
            key = (source.registry, source.requirement, source.form)
        if key not in self._loaded:
            try:
                self._loaded[key] = self._load(source, progress)
            except SourceFault as fault:
                self._loaded[key] = fault
        loaded = self._loaded[key]
        if isinstance(loaded, SourceFault):
            raise loaded
        return loaded

    def _load(self, source: Source, progress: Progress | None) -> Path:
        target = Path(tempfile.mkdtemp(dir=self._own_folder()))
        if isinstance(source, UrlSource):
            return self._load_url(source, target, progress)
        assert not isinstance(source, FileSource)
        return packages.get(source, target, progress)

    def _load_url(self, source: UrlSource, target: Path, progress: Progress | None) -> Path:
        name = local.url_name(source.url) or "archive"
        complete = target / name
        if source.archive_sha256 is None:  # nothing could tell a good rest of an earlier run from a bad one
            download.fetch(source.url, complete, source.archive_bytes, None, progress=progress, unreachable=self.unreachable)
            return complete
        part = folder() / "archives" / f"{source.archive_sha256[:16]}-{name}.part"
        with locks.held(_lock_path(part.name)) as exclusive:
            if not exclusive:
                part = complete
            download.fetch(source.url, part, source.archive_bytes, source.archive_sha256, progress=progress, unreachable=self.unreachable)
            part.replace(complete)
        return complete

    def _own_folder(self) -> Path:
        if self._folder is None:
            top = folder() / "archives"
            top.mkdir(parents=True, exist_ok=True)
            with locks.held(_lock_path("archives")) as exclusive:
                if exclusive:
                    _sweep(top)
                self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=top, prefix="session-")))
                self._stack.enter_context(locks.held(self._folder / "owner"))
        return self._folder


def _sweep(top: Path) -> None:
    """Remove the session folders of processes that were killed: nobody holds their lock any more. Only while no session is being opened."""
    for left in top.glob("session-*"):
        owner = left / "owner"
        if not owner.is_file() or locks.free(owner):
            shutil.rmtree(left, ignore_errors=True)


def _weight(card: ModelCard, key: str) -> WeightFile:
    if key not in card.weights:
        known = f"it has: {', '.join(card.weights)}" if card.weights else "it has none"
        raise BadConfig(f"{card.path}: no weights '{key}'; {known}")
    return card.weights[key]


def _look(card: ModelCard, weight: WeightFile) -> tuple[Path | None, list[str]]:
    """The verified local file or None, and what was found but is not it."""
    wrong: list[str] = []
    if weight.sha256 is None:
        return None, wrong
    stored = stored_path(weight)
    assert stored is not None
    places = [stored] if stored.is_file() else []
    places += local.candidates(card, weight, stored.name)
    places += [source.path for source in weight.sources if isinstance(source, FileSource) and source.path.is_file()]
    for place in places:
        fault = checksums.fault(place, weight.bytes, weight.sha256)
        if fault is None:
            return place, wrong
        wrong.append(f"{place}: {fault}, not used")
    return None, wrong


def _state(card: ModelCard, weight: WeightFile) -> str:
    found, _ = _look(card, weight)
    if found is None:
        archived = weight.sha256 is not None and any(True for source in weight.sources for _ in local.archives(source))
        return MIRROR if archived else ABSENT
    return PRESENT if found == stored_path(weight) else MIRROR


def _fetch(card: ModelCard, key: str, session: _Session, progress: Progress | None) -> Path:
    weight = _weight(card, key)
    found, _ = _look(card, weight)
    if found is not None:
        return found
    if weight.sha256 is None:
        raise WeightsMissing(_unpinned_line(card, weight))
    target = stored_path(weight)
    assert target is not None
    try:
        with locks.held(_lock_path(target.name)) as exclusive:
            # Another process may have fetched it while this one waited.
            found, reasons = _look(card, weight)
            if found is not None:
                return found
            if exclusive:
                _remove_leftovers(target)
            return _fetch_from_sources(card, weight, target, session, progress, reasons, resume=exclusive)
    except OSError as error:
        raise _not_stored(weight, error) from error


def _fetch_from_sources(
    card: ModelCard, weight: WeightFile, target: Path, session: _Session, progress: Progress | None, reasons: list[str], *, resume: bool
) -> Path:
    for source in weight.sources:
        for archive in local.archives(source):
            try:
                return _extract(archive, source, weight)
            except SourceFault as fault:
                reasons.append(f"{archive}: {fault}")
    for source in weight.sources:
        try:
            if isinstance(source, FileSource):
                if not source.path.is_file():
                    raise SourceFault("no such file")
                continue  # was looked at before, and is among the reasons
            if isinstance(source, UrlSource) and source.member is None:
                return _download(source, weight, target, session, progress, resume=resume)
            return _extract(session.archive(source, progress), source, weight)
        except SourceFault as fault:
            reasons.append(f"{_label(source)}: {fault}")
    raise WeightsMissing(_missing_line(card, weight, reasons or ["the card names no source"]))


def _download(source: UrlSource, weight: WeightFile, target: Path, session: _Session, progress: Progress | None, *, resume: bool) -> Path:
    part = target.with_name(f".{target.name}.part") if resume else target.with_name(f".{target.name}.{os.getpid()}.part")
    assert weight.sha256 is not None
    try:
        download.fetch(source.url, part, weight.bytes, weight.sha256, progress=progress, unreachable=session.unreachable)
        part.replace(target)
    finally:
        if not resume:
            part.unlink(missing_ok=True)
    return target


def _extract(archive: Path, source: Source, weight: WeightFile) -> Path:
    member = None if isinstance(source, FileSource) else source.member
    target = stored_path(weight)
    assert member is not None and target is not None and weight.sha256 is not None
    with atomic.replacing(target) as temporary:
        archives.extract(archive, member, temporary, weight.bytes)
        fault = checksums.fault(temporary, weight.bytes, weight.sha256)
        if fault is not None:
            raise SourceFault(f"the member is another file: {fault}")
    return target


def _adopt(file: Path, weight: WeightFile) -> Path:
    target = stored_path(weight)
    assert target is not None
    if not target.is_file():
        try:
            with atomic.replacing(target) as temporary:
                shutil.copyfile(file, temporary)
        except OSError as error:
            raise _not_stored(weight, error) from error
    return target


def _not_stored(weight: WeightFile, error: OSError) -> BadInput:
    why = error.strerror or error
    return BadInput(f"{folder()}: cannot store {weight.file} ({why}); make room, or set {STORE_VARIABLE} to a folder that can be written")


def _remove_leftovers(target: Path) -> None:
    """Unfinished copies of killed processes; only while holding the file's lock. A resumable download is called otherwise and stays."""
    for left in target.parent.glob(f".{target.name}.*.part"):
        left.unlink(missing_ok=True)


def _lock_path(name: str) -> Path:
    return folder() / ".locks" / f"{name}.lock"


def _label(source: Source) -> str:
    if isinstance(source, UrlSource):
        return source.url
    if isinstance(source, FileSource):
        return str(source.path)
    return f"{source.registry} package {source.requirement}"


def describe(weight: WeightFile) -> str:
    """``file (bytes, sha256 first 12 digits)``."""
    size = "size unknown" if weight.bytes is None else f"{weight.bytes:,} bytes"
    return f"{weight.file} ({size}, sha256 {weight.sha256[:12] if weight.sha256 else 'unknown'})"


def how_to_provide(needed: Requirement) -> str:
    """One line: which file, its sources, and how a person brings it. The same on every machine."""
    card, weight = needed.card, needed.weight
    if weight.sha256 is None:
        return _unpinned_line(card, weight)
    sources = ", ".join(_label(source) for source in weight.sources if not isinstance(source, FileSource))
    return f"weight file {describe(weight)} is missing [{f'from {sources}' if sources else 'no source'}]{_terms(weight)}; {_remedy(card)}"


def _missing_line(card: ModelCard, weight: WeightFile, reasons: Iterable[str]) -> str:
    why = "; ".join(" ".join(reason.split()) for reason in reasons)
    return f"{card.kind} {card.name}: weight file {describe(weight)} is missing [{why}]{_terms(weight)}; {_remedy(card)}"


def _terms(weight: WeightFile) -> str:
    return f" ({weight.terms})" if weight.terms else ""


def _remedy(card: ModelCard) -> str:
    return f"put it in ${local.MIRROR_VARIABLE} or run: python workflow/scripts/fetch_weights.py --from FILE --card {card.kind}/{card.name}"


def _card_place(card: ModelCard) -> str:
    return f"config/models/{cards.FOLDERS[card.kind]}/{card.name}.yaml"


def _unpinned_line(card: ModelCard, weight: WeightFile) -> str:
    place = _card_place(card)
    addresses = [source.url for source in weight.sources if isinstance(source, UrlSource)]
    known = f" ({', '.join(addresses)})" if addresses else "" if weight.terms else " (the card's notes name it)"
    return (
        f"{card.kind} {card.name}: {weight.file} has no known sha256, so it cannot be checked and is not loaded; get the file from a source "
        f"you trust{known}{_terms(weight)} and write its bytes and sha256 into {place} (weights.{weight.key}); "
        f"fetch_weights.py --from {weight.file} --card {card.kind}/{card.name} says both"
    )
