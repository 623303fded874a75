"""Text as sequences of numbers: every character is told once, and only from those before it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketfed.device_sim.data.characters import (
    ALPHABET,
    BEGIN,
    CHARACTERS,
    NOTHING,
    OTHER,
    encoded,
    sequences,
)
from pocketfed.protocol.artifact import InputScale


@settings(deadline=None)
@given(numbers=st.lists(st.integers(3, 89), min_size=1, max_size=60), length=st.integers(1, 25))
def test_every_character_is_told_from_those_before_it(numbers, length):
    made = sequences(np.array(numbers, np.int32), length=length)
    assert made.x.shape == made.y.shape == (max(1, -(-len(numbers) // length)), length)
    text = [BEGIN, *numbers, *[NOTHING] * (length - len(numbers))]
    told = set()
    for number, (before, after) in enumerate(zip(made.x.tolist(), made.y.tolist(), strict=True)):
        begin = min(number * length, len(text) - 1 - length)
        assert before == text[begin : begin + length]
        assert after == text[begin + 1 : begin + 1 + length]
        told |= set(range(begin + 1, begin + 1 + length))
    assert told == set(range(1, len(text)))


def test_each_character_has_its_number_and_a_line_its_end():
    assert len(set(ALPHABET)) == len(ALPHABET) == CHARACTERS - 3 == 87
    assert [ALPHABET[number - 3] for number in encoded(["To be,", "or"])] == list("To be,\nor\n")


def test_typeset_characters_become_typed_ones_and_strange_ones_other():
    assert encoded(["‘Æneas’—"]).tolist() == encoded(["'Aeneas'--"]).tolist()
    assert encoded(["é"]).tolist()[0] == OTHER


def test_a_scale_is_for_images():
    made = sequences(np.arange(3, 13, dtype=np.int32), length=4)
    assert made.inputs(InputScale(offset=1.0, scale=5.0)) is made.x
    assert made.x.dtype == np.int32


@pytest.mark.slow
def test_the_alphabet_is_as_long_as_the_zoo_expects():
    from pocketfed.model_export.zoo import zoo_model

    model = zoo_model("char_lstm")
    assert model.input_shape == (None, 80)
    assert model.output_shape == (None, 80, CHARACTERS)
