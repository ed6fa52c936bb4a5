"""What is missing on this machine, card by card: weights, environment, repository, GPU, and the licence to accept, in this order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from frontalbench.catalogue import cards, external
from frontalbench.catalogue.cards import ModelCard
from frontalbench.errors import BadConfig, WeightsMissing
from frontalbench.weights import foreign, store

OK, MISSING, ASKED = "ok", "missing", "accept"
"""There, or not needed; to be brought; a licence that whoever runs it accepts (nobody can look whether that was done)."""


@dataclass(frozen=True)
class Line:
    """One answer about one card. ``what``: weights, environment, repository, gpu or licence; ``text``: what is there, or what to do."""

    what: str
    word: str
    text: str


@dataclass(frozen=True)
class Standing:
    """All answers about one card, in the order in which one would mend them."""

    card: ModelCard
    lines: tuple[Line, ...]

    @property
    def ready(self) -> bool:
        return all(line.word != MISSING for line in self.lines)

    def __str__(self) -> str:
        """A line for the card, and one for each thing that is missing or asked."""
        head = f"{'ready' if self.ready else 'MEND':<6}{self.card.name:<22}{self.card.title}"
        return "\n".join([head, *(f"      {line.what:<13}{line.word:<9}{line.text}" for line in self.lines if line.word != OK)])


def standings(names: Sequence[str] = (), *, gpu: bool) -> Iterator[Standing]:
    """The frontalizer cards ``names`` (default: all). ``gpu``: whether this machine has one. Raises :class:`BadConfig` for a name without a card."""
    found = [cards.find("frontalizer", name) for name in names] if names else cards.all_cards("frontalizer")
    for card in found:
        yield Standing(card, tuple(_lines(card, gpu)))


def _lines(card: ModelCard, gpu: bool) -> Iterator[Line]:
    yield _weights(card)
    if card.family == external.FAMILY:
        said = external.read(card)
        yield _look("weights", foreign.assets, said, "files by hand: there")
        yield _look("environment", foreign.interpreter, said, "made")
        yield _look("repository", foreign.repository, said, "there, at its commit" if said.url else "none: the code is a package")
    if card.resources.gpu == "required" and not gpu:
        yield Line("gpu", MISSING, "needs an NVIDIA GPU, and none is seen here (nvidia-smi)")
    else:
        yield Line("gpu", OK, card.resources.gpu)
    terms = external.read(card).accept if card.family == external.FAMILY else ()
    yield from (Line("licence", ASKED, term) for term in terms)
    if not terms:
        licence = card.data["licence"]
        yield Line("licence", OK, f"code {licence['code']}; weights {licence['weights']}")


def _weights(card: ModelCard) -> Line:
    needed = store.requirements([card])
    absent = [need for need in needed if store.status(need.card).files[need.weight.key] == store.ABSENT]
    if not absent:
        return Line("weights", OK, f"{len(needed)} files" if needed else "none needed")
    by_hand = [need.weight.file for need in absent if not need.weight.sources]
    do = f"by hand: {', '.join(by_hand)}" if by_hand else "the run fetches them"
    return Line(
        "weights", MISSING, f"{len(absent)} of {len(needed)} files; {do}, or: frontalbench fetch-weights --card frontalizer/{card.name}"
    )


def _look(what: str, ask: Callable[[external.External], object], said: external.External, there: str) -> Line:
    try:
        ask(said)
    except WeightsMissing as error:
        return Line(what, MISSING, str(error).removeprefix(f"{said.card}: "))
    except BadConfig as error:
        return Line(what, MISSING, str(error))
    return Line(what, OK, there)
