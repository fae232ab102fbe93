"""Which prompt came from which: an arc diagram that is read from top to bottom."""

from collections.abc import Sequence
from dataclasses import dataclass

from continual.evaluation.figures.numbers import decimals
from continual.evaluation.figures.palette import step_of
from continual.evaluation.summary import TaskRecord

ROW = 56
"""Height of a node in CSS pixels."""
WIDTH = 100.0
"""Width of the arcs' drawing in its own units; the page stretches it."""
_MOST_LABELS = 14
_LOWEST_COLOUR = 8  # lighter ones would vanish on the page


@dataclass(frozen=True)
class Node:
    """A prompt.

    Attributes:
        prompt: Its id.
        task: Its task, or empty for one that an earlier run left in the pool.
        number: Place of the task in the stream, None for an earlier one.
        sources: (id, score) of the prompts it was made from, as texts.
    """

    prompt: str
    task: str
    number: int | None
    sources: list[tuple[str, str]]


@dataclass(frozen=True)
class Arc:
    """A use of one prompt by another.

    Attributes:
        path: The `d` of an SVG path, `WIDTH` units wide and in CSS pixels high.
        colour: Step of the palette, darker for a higher score.
        weight: Width of the line in CSS pixels.
        tip: The whole story.
        source: Index of the source's node.
        target: Index of the user's node.
        score: As text.
        left: Where the arc turns, in percent of the width.
        top: Where the arc turns, in CSS pixels.
    """

    path: str
    colour: int
    weight: float
    tip: str
    source: int
    target: int
    score: str
    left: float
    top: float


@dataclass(frozen=True)
class SourceGraph:
    """All prompts in the order they came and the arcs between them."""

    nodes: list[Node]
    arcs: list[Arc]
    height: int
    labelled: bool


def source_graph(records: Sequence[TaskRecord]) -> SourceGraph:
    """The graph of a run; sources that no task of the run made come first."""
    learned = [(number, record) for number, record in enumerate(records, 1) if record.prompt]
    own = {record.prompt for _, record in learned}
    used = dict.fromkeys(source.prompt for _, record in learned for source in record.sources)
    nodes = [Node(prompt, "", None, []) for prompt in used if prompt not in own]
    nodes += [
        Node(
            record.prompt or "",
            record.task,
            number,
            [(source.prompt, decimals(source.score)) for source in record.sources],
        )
        for number, record in learned
    ]
    place = {node.prompt: index for index, node in enumerate(nodes)}
    uses = [
        (place[source.prompt], place[record.prompt or ""], source.score)
        for _, record in learned
        for source in record.sources
    ]
    arcs = _arcs(nodes, uses)
    return SourceGraph(nodes, arcs, ROW * len(nodes), len(arcs) <= _MOST_LABELS)


def _arcs(nodes: Sequence[Node], uses: Sequence[tuple[int, int, float | None]]) -> list[Arc]:
    known = [score for _, _, score in uses if score is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    longest = max((abs(target - source) for source, target, _ in uses), default=1) or 1
    arcs = []
    for source, target, score in uses:
        strength = 0.5 if score is None or high <= low else (score - low) / (high - low)
        start, end = (source + 0.5) * ROW, (target + 0.5) * ROW
        reach = 22 + 68 * abs(target - source) / longest
        turn = WIDTH - reach * 4 / 3  # a cubic curve reaches three quarters of the way to its handles
        arcs.append(
            Arc(
                path=f"M{WIDTH:g} {start:g}C{turn:.1f} {start:g} {turn:.1f} {end:g} {WIDTH:g} {end:g}",
                colour=step_of(strength, 0, 1, lowest=_LOWEST_COLOUR),
                weight=round(1.5 + 2.5 * strength, 2),
                tip=f"{nodes[target].prompt} came from {nodes[source].prompt}, score {decimals(score, 3)}",
                source=source,
                target=target,
                score=decimals(score),
                left=round(WIDTH - reach, 1),
                top=(start + end) / 2,
            )
        )
    # Weak ones first, so that the strong ones lie on top.
    return sorted(arcs, key=lambda arc: arc.weight)
