"""A drawing as plain shapes in pixels, painted as SVG or, in the same places, as PNG."""

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import jinja2

_TEMPLATES = Path(__file__).parent.parent / "templates"

FONTS = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"

# Of groups: each can be read as text on its page (contrast 4.5 or more), and neighbours differ in lightness or hue for
# every kind of colour vision. More groups than colours begin again; their labels tell them apart.
LIGHT = ("#0a67b0", "#b5480a", "#0b7f63", "#7d3fb2", "#b3203f", "#6d6400", "#a12c83", "#4d5b70")
DARK = ("#5bb0f5", "#ff9c5a", "#3ecf9f", "#c6a0f5", "#ff8592", "#d8cd58", "#f08fd3", "#aab6c6")

INKS = {"ink": "#15202f", "soft": "#55637a", "line": "#dfe5ee", "card": "#ffffff"}
"""Colours that do not stand for a group, on a light page; the names are those of report.css."""


@dataclass(frozen=True)
class Style:
    """How shapes of one kind look.

    Attributes:
        ink: Name of a colour; empty for that of the shape's group.
        width: Of a line.
        opacity: 0 to 1.
        size: Of text, in pixels.
        bold: Whether text is bold.
    """

    ink: str = ""
    width: float = 0.0
    opacity: float = 1.0
    size: float = 12.0
    bold: bool = False


STYLES = {
    "grid": Style("line", 1.0),
    "axis": Style("soft", 1.0, 0.55),
    "bar": Style("", 1.5, 0.75),
    "side": Style("", 1.5, 0.3),
    "leader": Style("", 0.8, 0.6),
    "tick": Style("soft", size=11.5),
    "title": Style("soft", size=12.5),
    "label": Style("", size=12.5, bold=True),
    "panel": Style("ink", size=13.5, bold=True),
    "heading": Style("ink", size=19.0, bold=True),
    "lead": Style("soft", size=13.0),
}


@dataclass(frozen=True)
class Stroke:
    """A straight line."""

    start: tuple[float, float]
    end: tuple[float, float]
    style: str
    colour: int = 0


@dataclass(frozen=True)
class Disc:
    """A point with its story."""

    x: float
    y: float
    radius: float
    colour: int
    tip: str


@dataclass(frozen=True)
class Words:
    """Text whose baseline is centred on `y`; `anchor` is `start`, `middle` or `end`."""

    x: float
    y: float
    text: str
    style: str
    anchor: str = "start"
    colour: int = 0


@dataclass
class Drawing:
    """Shapes on a page; later ones lie over earlier ones, and discs over lines."""

    width: float
    height: float
    alt: str
    strokes: list[Stroke] = field(default_factory=list)
    discs: list[Disc] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)


def to_svg(drawing: Drawing) -> str:
    """The drawing as an SVG document that needs nothing else; it can also stand inside HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("drawing.svg.j2")
    return template.render(it=drawing, styles=STYLES, inks=INKS, colours=LIGHT, fonts=FONTS)


def to_png(drawing: Drawing, scale: float = 2.0) -> bytes:
    """The drawing as a PNG image on a light page, `scale` dots to a pixel of the drawing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    dpi = 100 * scale
    figure = Figure((drawing.width / 100, drawing.height / 100), dpi=dpi, facecolor=INKS["card"])
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, drawing.width), ylim=(drawing.height, 0))
    axes.set_axis_off()
    points = 0.72  # of a typographer, in a pixel of the drawing
    for layer, stroke in enumerate(drawing.strokes):
        style, (xs, ys) = STYLES[stroke.style], zip(stroke.start, stroke.end, strict=True)
        look = {"color": colour_of(stroke), "linewidth": style.width * points, "alpha": style.opacity}
        axes.plot(xs, ys, **look, zorder=1 + layer / 1e6, solid_capstyle="round")
    for disc in drawing.discs:
        # What lies behind must shine through, since points of equal cost and score are at one place.
        fill = (LIGHT[disc.colour % len(LIGHT)], 0.7)
        look = {"facecolor": fill, "edgecolor": INKS["card"], "linewidth": 1.2}
        axes.add_patch(Circle((disc.x, disc.y), disc.radius, **look, zorder=2))
    for words in drawing.words:
        style = STYLES[words.style]
        place = {"ha": {"start": "left", "middle": "center", "end": "right"}[words.anchor], "va": "center_baseline"}
        font = {"fontsize": style.size * points, "fontweight": "bold" if style.bold else "normal"}
        # A dollar sign would begin a formula.
        axes.text(words.x, words.y, words.text, color=colour_of(words), zorder=3, parse_math=False, **place, **font)
    out = BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def colour_of(shape: Stroke | Words) -> str:
    """The colour of a line or a text on a light page."""
    ink = STYLES[shape.style].ink
    return INKS[ink] if ink else LIGHT[shape.colour % len(LIGHT)]


def text_width(text: str, style: str) -> float:
    """About how wide a text will be, on the safe side for the fonts that it may be drawn in; in pixels."""
    narrow = sum(character in "il.,:;'|!Itfjr()[] " for character in text)
    wide = sum(character in "mwMW%@" for character in text)
    share = 0.7 if STYLES[style].bold else 0.6
    return STYLES[style].size * share * (len(text) - 0.4 * narrow + 0.5 * wide)
