"""The server against federated averaging written to be read (tests/reference.py)."""

import numpy as np
import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.folding import Sgd
from pocketfed.protocol.plan import Plan
from pocketfed.protocol.weights import Weights, WeightSpec

SPEC = WeightSpec.of({"kernel": (40, 20), "bias": (20,)})
EXAMPLES = ([1, 600, 37, 2], [600, 599, 1, 1], [13, 5, 210, 88])


@pytest.mark.parametrize("learning_rate", [1.0, 0.3])
def test_three_rounds_of_unbalanced_reports_agree_with_the_reference(
    server, reference, learning_rate
) -> None:
    """At most one unit in the last place apart, after rounding to float32.

    Both compute the true weight up to far less than half a unit: the server rounds each delta to
    2**-37 and the reference each product to 53 bits, while the weights, near 1, have units of
    2**-24. So both lie next to the same real number, and round to it or to its neighbour.
    """
    rng = np.random.default_rng(7)
    start = Weights(SPEC, rng.uniform(0.5, 1.5, SPEC.size).astype(np.float32))
    server.create_task(
        checkpoint=start,
        plan=Plan(max_examples=600),
        goal=4,
        server_optimizer=Sgd(learning_rate=learning_rate),
    )
    for examples in EXAMPLES:
        reports = [(rng.normal(0.0, 0.02, SPEC.size).astype(np.float32), n_k) for n_k in examples]
        before = server.weights(spec=SPEC)
        for delta, n_k in reports:
            server.phone().serve(Weights(SPEC, delta), num_examples=n_k)
        expected = reference.fedavg(before, reports, learning_rate).astype(np.float32)
        np.testing.assert_array_max_ulp(server.weights(spec=SPEC), expected, maxulp=1)


def test_the_order_of_arrival_changes_no_bit(rehearse) -> None:
    rng = np.random.default_rng(8)
    start = Weights(SPEC, rng.normal(0.0, 1.0, SPEC.size).astype(np.float32))
    deltas = [Weights(SPEC, rng.normal(0.0, 0.1, SPEC.size).astype(np.float32)) for _ in range(4)]
    digests = set()
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        server = rehearse()
        server.create_task(checkpoint=start, goal=4)
        for index in order:
            server.phone().serve(deltas[index], num_examples=7 + 13 * index)
        digests.add(server.admin.history("task").task.checkpoint.sha256)
    assert len(digests) == 1


def test_a_checkpoint_can_be_recomputed_from_its_contributions(server, reference) -> None:
    server.create_task(goal=2)
    sent = {}
    for value, n_k in ((0.5, 10), (0.25, 30)):
        body = server.body(value)
        sent[wire.sha256(body)] = server.delta(value).vector
        server.phone().serve(server.delta(value), num_examples=n_k)
    reports = [(sent[row["sha256"]], row["num_examples"]) for row in server.rows("contributions")]
    expected = reference.fedavg(server.delta(1.0).vector, reports).astype(np.float32)
    assert np.array_equal(server.weights(), expected)
