"""Vocabulary of the simulated stance stream: issues, the two targets at odds in each, and what is said of them.

An opinion on an issue takes one of its two sides. It favours the target of that side and opposes the target of the
other, and names neither, so that only text and target together tell the stance. No opinion stands in two issues.
"""

from typing import NamedTuple


class Issue(NamedTuple):
    """A question on which people take sides.

    Attributes:
        targets: What the first and the second side want.
        opinions: What the first and the second side say.
        remarks: What is said by people who take no side.
    """

    targets: tuple[str, str]
    opinions: tuple[tuple[str, ...], tuple[str, ...]]
    remarks: tuple[str, ...]


ISSUES: dict[str, Issue] = {
    "streets": Issue(
        ("Bicycle lanes", "Free parking downtown"),
        (
            (
                "cars already take up far too much room",
                "children should be able to ride to school safely",
                "the air is better where people pedal",
                "a street without engines is a joy",
                "riders have waited long enough for space of their own",
                "every car less makes the town quieter",
                "people on two wheels block nobody",
                "a town for drivers is no town for children",
            ),
            (
                "shops die where customers cannot stop the car",
                "drivers pay for these roads",
                "nobody does the weekly shopping on two wheels",
                "craftsmen need their van at the door",
                "most of us depend on the car every day",
                "taking room from cars only moves the jam elsewhere",
                "my grandmother cannot walk from the edge of town",
                "a centre that drivers avoid is a dead centre",
            ),
        ),
        (
            "the road works begin on Monday",
            "the council discusses traffic next week",
            "I took the bus this morning",
            "there was a jam on the bridge again",
            "the new traffic lights are blinking",
            "somebody lost a glove at the crossing",
        ),
    ),
    "power": Issue(
        ("Wind turbines", "Coal power"),
        (
            (
                "the breeze sends no bill",
                "our children need a climate they can live in",
                "clean electricity is the cheapest there is",
                "smoke from the old plant made us ill",
                "what turns in the breeze leaves no ash behind",
                "the sooner the last furnace goes out the better",
                "digging up villages for fuel must end",
                "the future does not come out of a chimney",
            ),
            (
                "the grid fails on every calm day",
                "those towers have ruined our hills",
                "good jobs hang on the mine",
                "steel needs fire that never goes out",
                "the rotors keep us awake at night",
                "birds die under those blades",
                "a plant that always runs is what keeps us warm",
                "miners built this region and deserve respect",
            ),
        ),
        (
            "the meter is read in December",
            "the electricity bill came today",
            "there is an open day at the power station",
            "engineers checked the lines after the storm",
            "the minister of energy visits us on Friday",
            "the lights went out for a minute",
        ),
    ),
    "work": Issue(
        ("Working from home", "Open-plan offices"),
        (
            (
                "I get twice as much done in my own kitchen",
                "nobody should commute for two hours to send emails",
                "the noise of forty colleagues is torture",
                "parents see their children again",
                "a closed door is the best tool there is",
                "thinking needs quiet",
                "trust matters more than a desk in sight of the boss",
                "the best people live far away",
            ),
            (
                "ideas are born between desks",
                "a team has to see each other",
                "newcomers learn by listening to the room",
                "I was lonely at my kitchen table",
                "a question takes ten seconds when everybody sits together",
                "work and private life belong apart",
                "video calls kill every conversation",
                "the laughter in our big room keeps me going",
            ),
        ),
        (
            "the coffee machine is repaired",
            "our meeting moves to three o'clock",
            "the new keyboard arrived",
            "I have a day off on Thursday",
            "the canteen closes early today",
            "the printer needs paper",
        ),
    ),
    "clothes": Issue(
        ("School uniforms", "Free choice of clothes at school"),
        (
            (
                "nobody is laughed at for cheap shoes any more",
                "the same jacket for all makes one class of many",
                "mornings without a fight about trousers are bliss",
                "pupils should compete in spelling and not in brands",
                "rich and poor look alike in the same shirt",
                "one pullover less to argue about",
                "wearing the crest made us proud",
                "teachers see faces again and not labels",
            ),
            (
                "how a child looks is nobody else's business",
                "individuals are not soldiers",
                "the prescribed blazer costs a fortune",
                "growing up means finding your own style",
                "forty grey skirts in a row make me sad",
                "a hoodie never hurt anybody's marks",
                "children show who they are by what they wear",
                "dress codes teach obedience and nothing else",
            ),
        ),
        (
            "the holidays begin in July",
            "there is a parents' evening on Tuesday",
            "the gym is being painted",
            "our class visits the museum",
            "the timetable has changed",
            "somebody forgot a lunch box",
        ),
    ),
}
"""Name of the issue to what there is to say about it."""

OPENERS = (
    "",
    "Honestly, ",
    "I keep saying it: ",
    "To be fair, ",
    "Let me say it once more: ",
    "As everybody here knows, ",
    "My neighbour wrote that ",
    "Read this morning that ",
    "It is simple: ",
    "After all, ",
    "Overheard on the bus: ",
    "Just so you know, ",
)
"""How a text may begin."""

CLOSERS = ("", " Just saying.", " Think about it.", " Good night.", " That is all.", " What do you think?", " See you.")
"""How a text may end."""
