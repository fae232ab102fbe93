"""The prompt pool in an Avalanche script: a benchmark from a stream, a strategy, Avalanche's own metrics.

Run it as `python avalanche_script.py`. The same benchmark and the same loop serve any other strategy of Avalanche, for
which `continual.baselines.model.Classifier` is a model.
"""

import tempfile

# First, because it makes torchvision, which Avalanche imports, importable beside every build of torch.
from continual.baselines.export import avalanche_benchmark
from continual.baselines.strategy import PromptPoolStrategy

# isort: split

from avalanche.evaluation.metrics import accuracy_metrics, forgetting_metrics
from avalanche.training.plugins import EvaluationPlugin

from continual import Learner, LearnerSettings
from continual.training.config import TrainingConfig
from streams import SimulatedSource, StreamManager

TASKS, TRAIN, DEV, TEST = ["kitchen", "harbour", "office"], 120, 40, 80
TRAINING = TrainingConfig(epochs=4, min_steps=0)


def main() -> None:
    """Learns a simulated stream and prints Avalanche's metrics."""
    stream = StreamManager(SimulatedSource(train=TRAIN, dev=DEV, test=TEST), order=TASKS)
    learner = Learner(tempfile.mkdtemp(), settings=LearnerSettings(method={"name": "spot"}, training=TRAINING))
    benchmark = avalanche_benchmark(stream, learner.encoder)
    metrics = accuracy_metrics(experience=True), forgetting_metrics(experience=True, stream=True)
    strategy = PromptPoolStrategy(learner=learner, evaluator=EvaluationPlugin(*metrics, loggers=[]))
    for experience in benchmark.train_stream:
        strategy.train(experience)
        found = strategy.eval(benchmark.test_stream)
        seen = [value for name, value in found.items() if name.startswith("Top1_Acc_Exp/")]
        shown = ", ".join(f"{value:.3f}" for value in seen)
        print(f"after {experience.text_task.name}: accuracy on every task {shown}")
    print(f"accuracy {sum(seen) / len(seen):.3f}", end=", ")
    print(f"forgetting {found['StreamForgetting/eval_phase/test_stream']:.3f}")


if __name__ == "__main__":
    main()
