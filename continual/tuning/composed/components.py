"""For each text a weighted sum of prompt components; earlier tasks' components stay as they are."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.frozen import Seen
from continual.errors import ConfigError
from continual.tuning.base import Tensors
from continual.tuning.composed.base import EARLIER, OWN, Extended, of_part, require_prompt

KEYS, ATTENTION = "keys", "attention"


class Components(Extended):
    """CODA-Prompt's decomposed prompt (Smith et al. 2023, arXiv 2211.13218).

        P = sum_m alpha_m P_m,   alpha_m = cos(q * A_m, K_m)

    with `q` the text's vector under the frozen model; no softmax and no choice of the best, so that everything is
    trained end to end. Each task adds components; those of earlier tasks are frozen.

    Args:
        base: The tuning of each component: `input`, `late` or `deep`.
        size: Components that each task adds.
    """

    name = "components"
    per_text = True

    def __init__(self, base: Mapping[str, Any], size: int = 8) -> None:
        super().__init__(base)
        require_prompt(self.base, "CODA")
        if size < 1:
            raise ConfigError(f"method.size is {size}, expected at least 1.")
        self.size = size

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return super().spec() | {"size": self.size}

    def compose(self, tensors: Tensors, seen: Seen) -> Tensors:
        """See `Tuning.compose`."""
        whole = self.joined(tensors)
        weights = component_weights(seen.embedding, whole[ATTENTION], whole[KEYS])
        return {
            name: torch.tensordot(weights, value, dims=1)
            for name, value in whole.items()
            if name not in (KEYS, ATTENTION)
        }

    def joined(self, tensors: Tensors) -> dict[str, Tensor]:
        """The components, keys and attention vectors of all tasks, earlier ones first, each [components, ...]."""
        own, earlier = of_part(OWN, tensors), of_part(EARLIER, tensors)
        return {name: torch.cat([earlier[name], value]) if earlier else value for name, value in own.items()}

    def lent(self, tensors: Tensors) -> Tensors | None:
        """None: no component stands for a task."""
        return None

    def not_orthogonal(self, tensors: Tensors) -> Tensor:
        """CODA's penalty over keys, attention vectors and components, a scalar; 0 for fresh ones.

        The length of a component is the size of a prompt and not 1 as that of a key, so its direction alone counts.
        """
        whole = self.joined(tensors)
        return sum(
            (
                not_orthogonal(value if name in (KEYS, ATTENTION) else F.normalize(value.flatten(1), dim=1))
                for name, value in whole.items()
            ),
            torch.zeros(()),
        )

    def tokens(self, tensors: Tensors) -> Tensor:
        """The tokens of all components, [tokens, width]."""
        whole = {name: value for name, value in self.joined(tensors).items() if name not in (KEYS, ATTENTION)}
        count = len(next(iter(whole.values())))
        return torch.cat(
            [self.base.tokens({name: value[place] for name, value in whole.items()}) for place in range(count)]
        )


def component_weights(queries: Tensor, attention: Tensor, keys: Tensor) -> Tensor:
    """alpha, [batch, components], from queries [batch, width] and [components, width] each of the others."""
    attended = F.normalize(queries[:, None, :] * attention[None], dim=2)
    return torch.einsum("bmd,md->bm", attended, F.normalize(keys, dim=1))


def orthogonal_to(earlier: Tensor | None, drawn: Tensor) -> Tensor:
    """Rows as `drawn`, made orthogonal to the earlier rows and to each other by Gram and Schmidt's way, of length one.

    Where there are more rows than dimensions, those for which no direction is left stay as they were drawn.

    Args:
        earlier: [earlier, ...] or None.
        drawn: [new, ...].
    """
    flat = drawn.flatten(1)
    basis = [] if earlier is None else [F.normalize(row, dim=0) for row in earlier.flatten(1)]
    made = []
    for row in flat:
        rest = row
        for _ in range(2):  # twice is enough (Giraud et al. 2005)
            for other in basis:
                rest = rest - (rest @ other) * other
        length = rest.norm()
        rest = rest / length if float(length) > 1e-4 * float(row.norm()) else F.normalize(row, dim=0)
        made.append(rest)
        basis.append(rest)
    return torch.stack(made).view_as(drawn)


def not_orthogonal(rows: Tensor) -> Tensor:
    """CODA's penalty: the mean square of `R R^T - I` over rows [components, ...], a scalar."""
    flat = rows.flatten(1)
    return ((flat @ flat.T - torch.eye(len(flat))) ** 2).mean()
