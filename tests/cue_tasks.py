"""Tasks that every method can learn, even on a model that knows nothing: words of its theme tell a text's label."""

import torch
from datasets import Dataset

from streams import Task

CUES = {
    "crime": ("police", "suspect", "injured"),
    "food": ("soup", "waiter", "coffee"),
    "weather": ("rain", "north", "weekend"),
    "music": ("album", "sound", "piano"),
    "sport": ("striker", "penalty", "coach"),
    "money": ("prices", "oil", "bank"),
    "science": ("vaccine", "virus", "frog"),
}
FILLER = ("the", "was", "and", "that", "in", "a", "of", "to", "he", "it")

TASKS = {
    "town": {"bad": "crime", "good": "food"},
    "coast": {"bad": "weather", "good": "music"},
    "topics": {"sport": "sport", "money": "money", "science": "science"},
}
"""For each task its labels and their themes. The second has the labels of the first, the third its own."""

SIZES = {"train": 30, "dev": 12, "test": 18}


class Cues:
    """Every text has three cue words of its label's theme among words of no meaning."""

    name = "cues"

    def __init__(self, tasks: tuple[str, ...] = tuple(TASKS), sizes: dict[str, int] = SIZES) -> None:
        self.task_names, self.sizes = list(tasks), sizes

    def load(self, task_name: str) -> Task:
        labels = TASKS[task_name]
        splits = {
            split: Dataset.from_dict(_rows(list(labels.values()), size, f"{task_name}/{split}"))
            for split, size in self.sizes.items()
        }
        return Task(name=task_name, labels=tuple(labels), **splits)


def _rows(themes: list[str], count: int, seed: str) -> dict[str, list]:
    generator = torch.Generator().manual_seed(sum(map(ord, seed)))

    def draw(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    texts = []
    for number in range(count):
        cues = CUES[themes[number % len(themes)]]
        words = [FILLER[draw(len(FILLER))] for _ in range(draw(5))]
        for _ in range(3):
            words.insert(draw(len(words) + 1), cues[draw(len(cues))])
        texts.append(" ".join(words))
    return {"text": texts, "label": [number % len(themes) for number in range(count)]}
