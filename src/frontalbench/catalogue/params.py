"""Reading the ``params`` of a model card: typed, with defaults, and a one-line error for what is wrong or unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from frontalbench.catalogue.validation import did_you_mean
from frontalbench.errors import BadConfig

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

_REQUIRED: Final = object()


class Params:
    """The ``params`` of a card, read key by key; :meth:`finish` refuses keys that nobody asked for.

    Every method raises :class:`BadConfig` naming the card's file and the key when a value is missing or not what it should be.
    """

    def __init__(self, card: ModelCard) -> None:
        # families.load answers to `precision_cpu`, for every family.
        self._values = {key: value for key, value in card.params.items() if key != "precision_cpu"}
        self._file = card.path
        self._asked: set[str] = set()

    def number(self, key: str, default: Any = _REQUIRED, *, low: float = float("-inf"), high: float = float("inf")) -> float:
        """A number in ``[low, high]``."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self._wrong(key, value, f"a number from {low:g} to {high:g}")
        return float(value)

    def integer(self, key: str, default: Any = _REQUIRED, *, low: int = 1) -> int:
        """A whole number of at least ``low``."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise self._wrong(key, value, f"a whole number of at least {low}")
        return value

    def integers(self, key: str, default: Any = _REQUIRED, *, low: int = 1) -> tuple[int, ...]:
        """A list of one or more whole numbers of at least ``low``."""
        value = self._get(key, default)
        listed = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
        if not listed or any(isinstance(v, bool) or not isinstance(v, int) or v < low for v in value):
            raise self._wrong(key, value, f"a list of whole numbers of at least {low}")
        return tuple(value)

    def numbers(self, key: str, count: int, default: Any = _REQUIRED) -> tuple[float, ...]:
        """``count`` numbers; one number stands for all of them."""
        value = self._get(key, default)
        values = [value] * count if isinstance(value, int | float) and not isinstance(value, bool) else value
        if (
            not isinstance(values, Sequence)
            or isinstance(values, str)
            or len(values) != count
            or not all(isinstance(v, int | float) for v in values)
        ):
            raise self._wrong(key, value, f"a number or a list of {count} numbers")
        return tuple(float(v) for v in values)

    def choice(self, key: str, allowed: Sequence[str], default: Any = _REQUIRED) -> str:
        """One of ``allowed``."""
        value = self._get(key, default)
        if value not in allowed:
            raise self._wrong(key, value, f"one of {', '.join(allowed)}")
        return str(value)

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        """A word or sentence that is not empty."""
        value = self._get(key, default)
        if not isinstance(value, str) or not value:
            raise self._wrong(key, value, "a text in quotes")
        return value

    def flag(self, key: str, default: Any = _REQUIRED) -> bool:
        """true or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Names to values that the caller checks."""
        value = self._get(key, _REQUIRED)
        if not isinstance(value, Mapping):
            raise self._wrong(key, value, "a mapping")
        return value

    def elsewhere(self, *keys: str) -> Params:
        """Keys whose values somebody else reads and checks."""
        self._asked.update(keys)
        return self

    def finish(self) -> None:
        """Refuse keys that were not asked for (a misspelt key would silently change nothing)."""
        for key in self._values:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked)) or "none"
                raise BadConfig(
                    f"{self._file}: params.{key} is not known to this family{did_you_mean(key, sorted(self._asked))}; known: {known}"
                )

    def _get(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        if key in self._values:
            return self._values[key]
        if default is _REQUIRED:
            given = f"; given: {', '.join(sorted(self._values))}" if self._values else ""
            raise BadConfig(f"{self._file}: params.{key} is missing{did_you_mean(key, sorted(self._values))}{given}")
        return default

    def _wrong(self, key: str, value: Any, expected: str) -> BadConfig:
        return BadConfig(f"{self._file}: params.{key} should be {expected}, is {value!r}")
