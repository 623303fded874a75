"""Who says what in a play, from its text."""

import pytest
from pocketfed.device_sim.data.roles import plays_in, roles_of

PLAY = """THE PLAY

by Nobody

Dramatis Personae.

HAMLET, a prince
OPHELIA

ACT I.

Scene I. A platform.

[Enter Hamlet
and Ophelia.]

Ham.
Who's there?   Speak,
and be brief.

LADY OF THE HOUSE.
    Nobody.

[Exit a ghost.]

It was the wind, [aside] my lord.

HAMLET
Give me some light.  [They go

Go.

ACT II.

What nobody says after a heading.

III.
Nor here.

*** END OF THE PLAY ***

The licence.
"""


def spoken(text):
    return {role.speaker: role.lines for role in roles_of("play", text)}


def test_a_speech_lasts_until_the_next_speaker_across_stage_directions():
    assert spoken(PLAY) == {
        "HAM": ["Who's there? Speak,", "and be brief."],
        "LADY OF THE HOUSE": ["Nobody.", "It was the wind, my lord."],
        "HAMLET": ["Give me some light.", "Go."],
    }


def test_one_speaker_is_one_role_in_the_order_of_the_play():
    text = "ACT I\n\nFool.\nHa.\n\nLEAR.\nWhat?\n\nFOOL.\nNothing."
    assert list(spoken(text).items()) == [("FOOL", ["Ha.", "Nothing."]), ("LEAR", ["What?"])]


@pytest.mark.parametrize(
    "line", ["I come.", "You are to blame, my lord.", "HENCE! HOME, YOU IDLE CREATURES", "O,"]
)
def test_a_sentence_is_no_speaker(line):
    assert list(spoken(f"ACT I\n\nLEAR.\nWhat?\n\n{line}\nGo on.")) == ["LEAR"]


def test_a_name_alone_speaks_after_it_and_a_title_alone_ends_a_speech():
    text = "ACT I\n\nLEAR.\n[Aside]\n\nHowl.\n\nTHE NEXT PLAY\n\nby Nobody\n\nLEAR.\nMore."
    assert spoken(text) == {"LEAR": ["Howl.", "More."]}


def test_nobody_speaks_in_a_poem():
    assert spoken("I.\nFrom fairest creatures we desire increase,\n\nXX.\nA woman's face") == {}


def test_a_text_of_several_plays_is_cut_at_each_first_act():
    text = "Contents\n\nACT I\n\nKENT.\nOne.\n\nACT II\n\nThe next\n\nACT I.\n\nKENT.\nTwo.\n"
    plays = list(plays_in(text))
    assert [spoken(play)["KENT"] for play in plays] == [["One."], ["Two."]]
    assert list(plays_in("ACT I\n\nKENT.\nOne.")) == ["ACT I\n\nKENT.\nOne."]
