"""Spherical k-means: a few directions that stand for many embeddings, used as the search keys of a prompt."""

import numpy as np

_ROUNDS = 100


def spherical_kmeans(embeddings: np.ndarray, k: int, seed: int) -> np.ndarray:
    """At most `k` unit vectors such that every embedding points in the direction of one of them.

    Rows are normalised first; k-means++ chooses the start and Lloyd's steps run until no row changes its
    cluster. The same input and seed give the same result. (Dhillon & Modha, "Concept decompositions for large
    sparse text data using clustering", Machine Learning 42, 2001; Arthur & Vassilvitskii, "k-means++", SODA
    2007.)

    Args:
        embeddings: Finite values [N, D], N >= 1. Rows of length zero have no direction and are left out.
        k: Number of clusters wanted, at least 1.
        seed: Seed of the start.

    Returns:
        Float32 [K, D], rows of length one, the largest cluster first. K is `k`, or the number of different
        directions where that is smaller.

    Raises:
        ValueError: `k` < 1, or `embeddings` is not a finite matrix or has no row with a direction.
    """
    points = _unit_rows(embeddings)
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    centres = _start(points, k, np.random.default_rng(seed))
    nearest = np.full(len(points), -1)
    for _ in range(_ROUNDS):
        similarity = points @ centres.T
        previous, nearest = nearest, similarity.argmax(axis=1)
        _fill_empty(nearest, similarity)
        if (nearest == previous).all():
            break
        centres = _means(points, nearest, centres)
    largest_first = np.argsort(-np.bincount(nearest, minlength=len(centres)), kind="stable")
    return centres[largest_first].astype(np.float32)


def _unit_rows(embeddings: np.ndarray) -> np.ndarray:
    points = np.asarray(embeddings, dtype=np.float64)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise ValueError(f"embeddings must be a finite matrix [N, D], got shape {points.shape}")
    # Dividing by the largest value first keeps the squares of huge and tiny rows inside the range of a float.
    largest = np.abs(points).max(axis=1, initial=0.0)
    points = points[largest > 0] / largest[largest > 0, None]
    if not len(points):
        raise ValueError("embeddings must have at least one row that is not zero")
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def _start(points: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """k-means++: the next centre is drawn in proportion to the distance from those chosen."""
    chosen = [int(random.integers(len(points)))]
    distance = 1 - points @ points[chosen[0]]
    while len(chosen) < k:
        # Rounding leaves distances of 1e-16 between copies of one point.
        distance[distance < 1e-12] = 0
        if not distance.any():
            break
        chosen.append(int(random.choice(len(points), p=distance / distance.sum())))
        distance = np.minimum(distance, 1 - points @ points[chosen[-1]])
    return points[chosen]


def _fill_empty(nearest: np.ndarray, similarity: np.ndarray) -> None:
    """Gives every empty cluster the point that is worst served, taken from a cluster that can spare it."""
    served = similarity[np.arange(len(nearest)), nearest]
    for cluster in range(similarity.shape[1]):
        if (nearest == cluster).any():
            continue
        sizes = np.bincount(nearest, minlength=similarity.shape[1])
        point = int(np.where(sizes[nearest] > 1, served, np.inf).argmin())
        nearest[point], served[point] = cluster, np.inf


def _means(points: np.ndarray, nearest: np.ndarray, centres: np.ndarray) -> np.ndarray:
    sums = np.eye(len(centres))[nearest].T @ points
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    # Opposite points cancel out; such a cluster keeps its centre.
    return np.where(lengths > 1e-9, sums / np.maximum(lengths, 1e-9), centres)
