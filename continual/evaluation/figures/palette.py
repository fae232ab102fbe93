"""Colours of values: one blue scale whose lightness alone carries the value, so that every eye can read it.

Low values are near the page's background and high ones far from it, in light and in dark mode. Colours are
mixed in OKLab, where equal steps look equal.
"""

import math
from functools import cache

STEPS = 21
"""Number of colours, from 0 for the lowest value to STEPS - 1 for the highest."""

_LIGHT = ("#eef3fa", "#bcd6f0", "#6fa9de", "#2b6cb3", "#0f3a73")
_DARK = ("#1d2838", "#21456f", "#2f74b5", "#7cb8ec", "#dcedfd")
_INKS = ("#0b1220", "#ffffff")

_Colour = tuple[float, float, float]


def step_of(value: float, low: float, high: float, lowest: int = 0) -> int:
    """The colour for `value` on a scale from `low` to `high`; beyond it, the colour of the nearer end.

    Args:
        value: What to show.
        low: Value of the first colour.
        high: Value of the last colour.
        lowest: First colour to use; lines need one that stands out from the page.
    """
    share = 0.5 if high <= low else min(1.0, max(0.0, (value - low) / (high - low)))
    return lowest + round(share * (STEPS - 1 - lowest))


@cache
def style_variables(dark: bool) -> str:
    """CSS declarations `--qN` (fill) and `--iN` (the ink that is readable on it) for all steps."""
    return "".join(f"--q{step}:{fill};--i{step}:{readable_ink(fill)};" for step, fill in enumerate(fills(dark)))


@cache
def fills(dark: bool) -> tuple[str, ...]:
    """The colours of one mode from low to high, as #rrggbb."""
    anchors = [_oklab(_channels(anchor)) for anchor in (_DARK if dark else _LIGHT)]
    mixed = []
    for step in range(STEPS):
        place = step / (STEPS - 1) * (len(anchors) - 1)
        index = min(int(place), len(anchors) - 2)
        rest = place - index
        pairs = zip(anchors[index], anchors[index + 1], strict=True)
        mixed.append(_hex(_linear_rgb(tuple(first + rest * (second - first) for first, second in pairs))))
    return tuple(mixed)


def readable_ink(fill: str) -> str:
    """Dark or white text, whichever contrasts more with `fill`."""
    return max(_INKS, key=lambda ink: contrast(ink, fill))


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two #rrggbb colours as WCAG 2 defines it, 1 to 21."""
    bright, dim = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = _channels(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(colour: str) -> _Colour:
    """Linear red, green and blue of #rrggbb, each 0 to 1."""
    values = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = [it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in values]
    return red, green, blue


def _hex(linear: _Colour) -> str:
    clipped = [min(1.0, max(0.0, channel)) for channel in linear]
    encoded = [12.92 * it if it <= 0.0031308 else 1.055 * it ** (1 / 2.4) - 0.055 for it in clipped]
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in encoded)


def _oklab(linear: _Colour) -> _Colour:
    # Coefficients: Ottosson, "A perceptual color space for image processing", 2020.
    red, green, blue = linear
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    medium = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _linear_rgb(lab: _Colour) -> _Colour:
    lightness, green_red, blue_yellow = lab
    long = (lightness + 0.3963377774 * green_red + 0.2158037573 * blue_yellow) ** 3
    medium = (lightness - 0.1055613458 * green_red - 0.0638541728 * blue_yellow) ** 3
    short = (lightness - 0.0894841775 * green_red - 1.2914855480 * blue_yellow) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
