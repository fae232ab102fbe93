"""A backbone that grows: expansion, what it does to a pool, and the test that asks for it."""

from continual.registry import Registry

EXPANSIONS = Registry("expansion", "continual.expansions")
EXPANSIONS.add(
    "exact",
    "continual.growth.exact:Exact",
    "more layers that start as the identity, units replicated in whole multiples: the function stays the same",
)
EXPANSIONS.add(
    "elle",
    "continual.growth.elle:Elle",
    "layers duplicated, units replicated at random with noise on the replicas: the function nearly stays the same",
    "Qin et al. 2022, ELLE (arXiv 2203.06311)",
)
