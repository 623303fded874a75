"""Diversity: who took part, from a whole small fleet and from a sample of a large one."""

import numpy as np
import pytest
from pocketfed.device_sim.data.examples import Examples
from pocketfed.device_sim.following.census import Census
from pocketfed.device_sim.following.monitor import RoundRow
from pocketfed.device_sim.ownership import Listed, Ownership
from pocketfed.device_sim.phones.sessions import SessionOutcome, SessionRecord
from pocketfed.device_sim.report.diversity import LOOKED_AT, diversity_of


def labelled(*labels):
    y = np.array(labels, np.int32)
    return Examples(np.zeros((len(y), 2, 2), np.uint8), y)


def census_of(*cohorts):
    """A round after the other, of accepted phones."""
    census = Census()
    for round_, devices in enumerate(cohorts, 1):
        for device in devices:
            census.add(
                SessionRecord(
                    device=device,
                    round=round_,
                    attempt=1,
                    outcome=SessionOutcome.ACCEPTED,
                    shape="-v[]+^",
                    num_examples=1,
                    bytes_up=0,
                    bytes_down=0,
                )
            )
    return census


def row(round_):
    return RoundRow(
        round=round_,
        attempt=1,
        accuracy=0.5,
        loss=1.0,
        train_loss=None,
        accepted=2,
        late=0,
        dropped=0,
        num_examples=2,
        bytes_up=0,
        bytes_down=0,
        seconds=float(round_),
        checkpoint="0" * 64,
    )


# Phones 0 and 1 own class 0, phone 2 class 2, phone 3 both.
OWNED = Listed([labelled(0, 0), labelled(0, 0), labelled(2, 2), labelled(0, 2)])


def diversity(
    census,
    *,
    rounds=2,
    owned: Ownership | None = OWNED,
    phones=4,
    tier_of=lambda _: "",
    seed=1,
):
    rows = [row(number) for number in range(1, rounds + 1)]
    return diversity_of(census, rows, phones=phones, seed=seed, owned=owned, tier_of=tier_of)


def test_it_says_how_many_took_part_how_often() -> None:
    assert diversity(census_of([0, 1], [0, 3])).times.tolist() == [1, 2, 1]
    assert diversity(Census()).times.tolist() == [4]


def test_the_mix_of_cohorts_stands_beside_that_of_the_population() -> None:
    classes = diversity(census_of([0, 1], [2, 3])).classes
    assert classes is not None
    assert classes.population.tolist() == [5 / 8, 0.0, 3 / 8]
    assert classes.cohorts.tolist() == [5 / 8, 0.0, 3 / 8]
    # The first round had class 0 alone, the second one quarter of it.
    assert classes.distances == ((1, 3 / 8), (2, 3 / 8))


def test_a_phone_that_took_part_twice_counts_twice_in_the_mix_of_cohorts() -> None:
    classes = diversity(census_of([2], [2])).classes
    assert classes is not None
    assert classes.cohorts.tolist() == [0.0, 0.0, 1.0]


def test_classes_of_phones_that_never_took_part_are_left_out() -> None:
    classes = diversity(census_of([0, 1])).classes
    assert classes is not None
    assert classes.left_out.tolist() == [1 / 5, 0.0, 1.0]


def test_who_never_took_part_is_told_by_tier() -> None:
    found = diversity(census_of([0, 1]), tier_of=lambda device: "low" if device < 3 else "high")
    assert (found.tiers["low"].took_part, found.tiers["low"].never_took_part) == (2, 1)
    assert found.tiers["high"].never_checked_in == 1


def test_of_a_large_fleet_a_sample_is_looked_at_and_all_are_counted() -> None:
    asked = []

    class Many:
        phones = 100_000

        def of(self, device):
            asked.append(device)
            return labelled(device % 3)

        def num_examples(self, device):
            return 1

    found = diversity(census_of(range(200), range(200)), owned=Many(), phones=100_000)
    assert found.looked_at == LOOKED_AT
    assert sum(reach.phones for reach in found.tiers.values()) == LOOKED_AT
    assert found.times.tolist() == [99_800, 0, 200]
    assert found.classes is not None
    assert found.classes.population == pytest.approx(1 / 3, abs=0.1)
    assert len(asked) <= 2 * LOOKED_AT + 2


def test_the_seed_draws_the_sample() -> None:
    def looked_at(seed):
        asked = []
        diversity(Census(), phones=5000, owned=None, seed=seed, tier_of=lambda d: asked.append(d))
        return asked

    assert looked_at(1) == looked_at(1) != looked_at(2)


def test_sequences_have_no_class() -> None:
    texts = Listed([Examples(np.zeros((2, 5), np.int32), np.zeros((2, 5), np.int32))] * 4)
    assert diversity(census_of([0]), owned=texts).classes is None
