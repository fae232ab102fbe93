"""ATTEMPT: each text mixes its own prompt out of the sources."""

from continual.errors import ConfigError
from continual.methods.base import Learned, Lesson, Method
from continual.tuning.base import Tuning
from continual.tuning.composed.attention import Attention, mixture


class Attempt(Method):
    """Attentional mixtures of soft prompts (Asai et al. 2022, arXiv 2205.11961).

    The recalled prompts of other tasks, nearest texts first, are frozen sources. The task's own prompt starts from the
    first of them, as in the released code, and is trained together with a small network that decides, for each text,
    how much of every source to add. Without sources only the own prompt is left.

    Differences: the released code leaves the group of the attention's learning rate empty, because it looks for names
    that do not exist; here the two speeds work. Sources are the stored prompts of the stream's earlier tasks instead
    of six large tasks. What a later task takes as its source is the own prompt, without its mixture. A stored mixture
    carries copies of its sources, so that nothing that happens to them changes it.

    Args:
        sources: How many recalled prompts are mixed at most.
        bottleneck: Units of the attention network.
        temperature: Divides the attention's scores; width times e where it is null, as in the released configurations.
        attention_pace: Learning rate of the attention network over that of the prompt.
        start: `source` starts the own prompt from the nearest source, `fresh` from scratch.
    """

    name = "attempt"

    def __init__(
        self,
        sources: int = 6,
        bottleneck: int = 100,
        temperature: float | None = None,
        attention_pace: float = 1.0,
        start: str = "source",
    ) -> None:
        if sources < 1:
            raise ConfigError(f"method.sources is {sources}, expected at least 1.")
        if start not in ("source", "fresh"):
            raise ConfigError(f"method.start is {start!r}, expected source or fresh.")
        self.sources, self.start = sources, start
        self.options = {"bottleneck": bottleneck, "temperature": temperature, "attention_pace": attention_pace}
        Attention({"name": "deep"}, **self.options)  # refuses bad options before anything is learned

    def check_tuning(self, tuning: Tuning) -> None:
        """See `Method.check_tuning`."""
        Attention(tuning.spec(), **self.options)

    def learn(self, lesson: Lesson) -> Learned:
        """See `Method.learn`."""
        if not lesson.sources:
            return Learned(lesson.fit("student", lesson.fresh()), "student")
        tuning = Attention(lesson.tuning.spec(), **self.options)
        sources = lesson.sources[: self.sources]
        own = sources[0].tensors if self.start == "source" else lesson.fresh()
        network = tuning.network(lesson.encoder.width, lesson.generator("attention"))
        tensors = mixture(own, [source.tensors for source in sources], network)
        model = lesson.fit("student", tensors, tuning=tuning)
        ranked = lesson.rank(model)
        scored = {item.prompt: item for item in ranked}
        # In the order of the mixture's tensors, so that `continual.mixing` can take sources away by name.
        return Learned(model, "student", ranked, [scored[source.prompt] for source in sources])
