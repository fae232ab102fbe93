"""Numbers as people read them."""

from dataclasses import dataclass

UNKNOWN = "–"
_MINUS = "\u2212"

_SHARES = ("accuracy", "macro_f1", "stance_f1")
_HUNDREDTHS = ("bleu", "chrf")
"""Scores from 0 to 1 that everyone knows from 0 to 100, though they are shares of nothing."""
_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "stance_f1": "F1 of favor and against",
    "bleu": "BLEU",
    "chrf": "chrF",
}


@dataclass(frozen=True)
class Unit:
    """How the values of one metric are written.

    Attributes:
        name: The metric in words.
        factor: What a value is multiplied by; 100 for shares, which are shown as percentages.
        suffix: Text after a single number, such as a percent sign.
    """

    name: str
    factor: float
    suffix: str

    def score(self, value: float | None, places: int = 1) -> str:
        """A score to some decimal places, without its suffix."""
        return UNKNOWN if value is None else _signless(f"{value * self.factor:.{places}f}")

    def change(self, value: float | None, places: int = 1) -> str:
        """A difference of scores, with its sign."""
        text = self.score(value, places)
        return text if value is None or text.startswith(_MINUS) or float(text) == 0 else f"+{text}"

    @property
    def axis(self) -> str:
        """The title of an axis."""
        return f"{self.name} in %" if self.suffix else self.name

    def full(self, value: float | None) -> str:
        """A score with its suffix."""
        return UNKNOWN if value is None else self.score(value) + self.suffix


def unit_of(metric: str) -> Unit:
    """Percentages for the shares that this program computes, hundredths for BLEU and chrF, plain values for others."""
    share = metric in _SHARES
    factor = 100.0 if share or metric in _HUNDREDTHS else 1.0
    return Unit(_NAMES.get(metric, metric), factor, " %" if share else "")


def printed(metric: str, value: float | None) -> str:
    """A score as it stands in a terminal: with three decimals, BLEU and chrF from 0 to 100 with two."""
    if value is None:
        return UNKNOWN
    return f"{100 * value:.2f}" if metric in _HUNDREDTHS else f"{value:.3f}"


def capital(words: str) -> str:
    """The words with a capital letter in front; those behind it stay as they are, as in BLEU."""
    return words[:1].upper() + words[1:]


def duration(seconds: float | None) -> str:
    """A length of time in one or two units: `0.42 s`, `12.3 s`, `8 min 12 s`, `2 h 5 min`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(value: int | float | None) -> str:
    """A whole number with thousands separated."""
    return UNKNOWN if value is None else f"{round(value):,}"


def decimals(value: float | None, places: int = 2) -> str:
    """A plain number to some decimal places; large ones without them."""
    if value is None:
        return UNKNOWN
    return _signless(f"{value:.{places}f}") if abs(value) < 1000 else count(value)


def _signless(text: str) -> str:
    """A typographic minus, and none in front of a zero."""
    if text.startswith("-"):
        return text[1:] if float(text) == 0 else _MINUS + text[1:]
    return text
