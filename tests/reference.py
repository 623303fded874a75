"""Federated averaging to be read, not to be fast: the oracle of the tests.

The server's half of Algorithm 1 in McMahan et al., "Communication-Efficient Learning of Deep
Networks from Decentralized Data" (arXiv 1602.05629):

    w_{t+1} = sum over k of n_k / n * w_k,    n = sum of n_k

with w_k = w_t + delta_k. With a server learning rate the step is scaled by it.
"""

import numpy as np


def fedavg(weights, reports, learning_rate=1.0):
    """``reports`` holds (delta, num_examples) of each device; all in float64."""
    received = weights.astype(np.float64)
    n = sum(n_k for _, n_k in reports)
    average = np.zeros_like(received)
    for delta, n_k in reports:
        w_k = received + delta.astype(np.float64)
        average += n_k / n * w_k
    return received + learning_rate * (average - received)


def aggregate(kind, reports):
    """What ``kind``, a record of protocol/folding.py, makes of (delta, num_examples) pairs."""
    deltas = np.array([clipped(delta.astype(np.float64), kind.clip_norm) for delta, _ in reports])
    match type(kind).__name__:
        case "WeightedMean":
            return np.average(deltas, axis=0, weights=[n_k for _, n_k in reports])
        case "Mean":
            return np.mean(deltas, axis=0)
        case "Median":
            return np.median(deltas, axis=0)
        case "TrimmedMean":
            cut = int(kind.fraction * len(deltas) + 1e-9)
            return np.mean(np.sort(deltas, axis=0)[cut : len(deltas) - cut], axis=0)
    raise ValueError(kind)


def clipped(delta, max_norm):
    norm = np.linalg.norm(delta)
    return delta if max_norm is None or norm <= max_norm else delta * (max_norm / norm)
