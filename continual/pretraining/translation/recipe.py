"""A translation model from nothing: read the pool, train the vocabulary, train the model, score it."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual._torchvision import declare_missing_operators
from continual.backbone.saving import save_model
from continual.construction import coerced, construct, typed
from continual.errors import ConfigError
from continual.files import new_folder
from continual.making.recipe import Made, Place
from continual.pretraining.optimisation import OptimisationConfig
from continual.pretraining.translation.config import Direction, EvaluationConfig, ModelConfig, ObjectivesConfig
from continual.pretraining.translation.pool import POOLS, Pool, PoolSettings

if TYPE_CHECKING:
    from transformers import MarianMTModel, PreTrainedTokenizerFast

    from continual.pretraining.loop import Outcome, Training
    from continual.pretraining.translation.evaluation import HeldOut
    from continual.pretraining.translation.pairs import EncodedPairs

_TOKENIZER = "tokenizer"
_RESERVED = 0.06
"""Share of the minutes that is kept for scoring the finished model."""


@dataclass(frozen=True)
class TranslationRecipe:
    """See `continual.making.recipe.Recipe`.

    Attributes:
        direction: Which languages.
        pool: Where the pairs come from.
        model: Vocabulary and shape.
        objectives: What is learned beside translating.
        training: Budget and rates.
        evaluation: How the model is scored.
        seed: Decides all that is random.
    """

    direction: Direction
    pool: PoolSettings
    model: ModelConfig
    objectives: ObjectivesConfig
    training: OptimisationConfig
    evaluation: EvaluationConfig
    seed: int

    sections = ("direction", "languages", "pool", "model", "objectives", "training", "evaluation", "seed")
    parts = ("pool", "vocabulary", "training", "evaluation")

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "TranslationRecipe":
        """See `Recipe.parse`."""
        languages = settings.get("languages", ["en", "de"])
        if not (isinstance(languages, list) and len(languages) == 2 and all(isinstance(it, str) for it in languages)):
            raise ConfigError(f"languages is {languages!r}, expected two names of columns such as [en, de].")
        direction = coerced(settings.get("direction", "-".join(languages)), str, "direction")
        pool = dict(settings.get("pool") or {})
        return cls(
            direction=Direction(direction, (languages[0], languages[1])),
            pool=construct(POOLS, pool.pop("kind", ""), pool, "pool"),
            model=typed(ModelConfig, settings.get("model"), "model"),
            objectives=typed(ObjectivesConfig, settings.get("objectives"), "objectives"),
            training=typed(OptimisationConfig, settings.get("training"), "training"),
            evaluation=typed(EvaluationConfig, settings.get("evaluation"), "evaluation"),
            seed=coerced(settings.get("seed", 0), int, "seed"),
        )

    def identity(self) -> dict[str, Any]:
        """See `Recipe.identity`."""
        own = {
            name: asdict(getattr(self, name)) for name in ("direction", "model", "objectives", "training", "evaluation")
        }
        return own | {"pool": self.pool.identity(), "seed": self.seed}

    def make(self, place: Place) -> Made:
        """See `Recipe.make`."""
        declare_missing_operators()
        from transformers.utils import logging

        from continual.pretraining.translation.evaluation import HeldOut, score
        from continual.pretraining.translation.pairs import encode_pairs

        logging.disable_progress_bar()
        pool = self.pool.read(self.direction.languages, self.seed)
        tokenizer = self._tokenizer(place.folder / _TOKENIZER, pool)
        pairs, dropped = encode_pairs(pool.train, self.direction, tokenizer, self.model)
        place.done(f"pool: {len(pool.train)} pairs; left out: {_counts(dropped)}")
        place.done(f"vocabulary: {len(tokenizer)} subwords")
        held_out = HeldOut.of(pool.held_out, self.direction, tokenizer)
        training = self._training(place, pairs, held_out, tokenizer)
        outcome = training.run()
        model = training.objective.module.model.eval()
        place.done(f"training: {outcome.steps} steps in {outcome.seconds:.0f} s")
        # Scores of a domain are kept in the summary alone, so a kill in between costs only their computation.
        scores = []
        length = self.model.max_length
        for row in score(model, tokenizer, held_out, pool.held_out, self.direction, self.evaluation, length):
            scores.append(row)
            place.say(_line(row))
        seconds = training.earlier + time.monotonic() - place.started
        place.done(f"scored in {seconds - outcome.seconds:.0f} s")

        def save(folder: Path) -> None:
            save_model(model, tokenizer, folder)

        return Made(save, self._summary(model, pool, dropped, outcome, scores, seconds))

    def _tokenizer(self, folder: Path, pool: Pool) -> "PreTrainedTokenizerFast":
        """The vocabulary of the pool, trained once."""
        from transformers import AutoTokenizer

        from continual.pretraining.translation.model import POSITIONS
        from continual.pretraining.translation.vocabulary import train_vocabulary

        if not folder.is_dir():
            texts = (text for pair in pool.train for text in pair)
            trained = train_vocabulary(texts, self.model.vocabulary, self.direction.languages, POSITIONS)
            with new_folder(folder) as temporary:
                trained.save_pretrained(temporary)
        return AutoTokenizer.from_pretrained(folder)

    def _training(
        self, place: Place, pairs: "EncodedPairs", held_out: "HeldOut", tokenizer: "PreTrainedTokenizerFast"
    ) -> "Training":
        import torch

        from continual.pretraining.batches import TokenBatches
        from continual.pretraining.loop import Training
        from continual.pretraining.translation.model import new_model
        from continual.pretraining.translation.objective import Detecting, TranslationObjective
        from continual.training.checkpoint import FolderCheckpoints

        model = new_model(self.model, self.evaluation, tokenizer, self.seed)
        module = Detecting(model, self.seed).to("cuda" if torch.cuda.is_available() else "cpu")
        smoothing = self.training.label_smoothing
        return Training(
            objective=TranslationObjective(module, pairs, held_out, tokenizer, self.objectives, smoothing, self.seed),
            batches=TokenBatches(pairs.lengths, self.training.batch_tokens, self.seed),
            config=self.training,
            seed=self.seed,
            seconds=60 * self.training.minutes * (1 - _RESERVED),
            started=place.started,
            checkpoints=FolderCheckpoints(place.folder / "checkpoint"),
            watcher=place.watcher,
            report=lambda entry: place.say(_progress_line(entry)),
        )

    def _summary(
        self,
        model: "MarianMTModel",
        pool: Pool,
        dropped: dict[str, int],
        outcome: "Outcome",
        scores: list[dict[str, Any]],
        seconds: float,
    ) -> dict[str, Any]:
        return {
            "direction": self.direction.name,
            "languages": list(self.direction.languages),
            "parameters": sum(value.numel() for value in model.parameters() if value.requires_grad),
            "vocabulary": model.config.vocab_size,
            "pairs": len(pool.train),
            "pool": pool.report | {"left out by length": dropped},
            "steps": outcome.steps,
            "epochs": outcome.epochs,
            "seconds": {"training": round(outcome.seconds, 1), "total": round(seconds, 1)},
            "scores": scores,
            "curve": outcome.curve,
        }


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {reason}" for reason, number in counts.items())


def _progress_line(entry: Mapping[str, float]) -> str:
    return (
        f"step {entry['step']}, {entry['seconds']:.0f} s: loss {entry['train_loss']:.3f}, held out {entry['loss']:.3f} "
        f"(perplexity {entry['perplexity']:.1f})"
    )


def _line(row: Mapping[str, Any]) -> str:
    bleu = f", BLEU {row['bleu']:.1f}" if "bleu" in row else ""
    return f"{row['domain']}, {row['way']}: loss {row['loss']:.3f}, perplexity {row['perplexity']:.1f}{bleu}"
