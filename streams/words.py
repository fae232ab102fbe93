"""Vocabulary of the simulated stream: cue adjectives by meaning and filler nouns by topic.

A *concept* is a pair of opposite meanings with twelve adjectives each. The concepts were chosen to have
little to do with one another or with sentiment, so that what two simulated tasks share is what the simulation
says they share. No word stands in two places; a test checks that.
"""

CONCEPTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    name: (tuple(first.split()), tuple(second.split()))
    for name, (first, second) in {
        "temperature": (
            "cold freezing icy chilly frosty frozen wintry chilled cool polar arctic snowy",
            "hot warm boiling scorching heated sweltering steaming blazing tropical toasty burning roasting",
        ),
        "size": (
            "tiny little small miniature petite compact minute slender narrow microscopic puny mini",
            "huge enormous giant massive vast immense colossal gigantic towering large big mighty",
        ),
        "speed": (
            "slow sluggish gradual crawling leisurely unhurried delayed lingering plodding lazy dragging idle",
            "fast quick rapid swift speedy hurried racing brisk sudden instant rushing hasty",
        ),
        "age": (
            "old ancient antique aged elderly historic vintage medieval prehistoric outdated worn retired",
            "new modern fresh recent young newborn youthful current novel latest contemporary futuristic",
        ),
        "light": (
            "dark dim shadowy gloomy murky black unlit dusky shaded overcast midnight sunless",
            "bright shining glowing sunny radiant sparkling dazzling luminous gleaming brilliant lit glittering",
        ),
        "sound": (
            "quiet silent hushed muted whispering soundless muffled mute noiseless wordless speechless still",
            "loud noisy deafening roaring booming screaming thunderous blaring shouting clanging rowdy howling",
        ),
        "moisture": (
            "dry dusty parched arid dried sandy dehydrated withered powdery thirsty waterless crumbly",
            "wet soaked damp dripping flooded rainy soggy moist humid drenched watery splashing",
        ),
        "price": (
            "cheap inexpensive bargain discounted budget affordable worthless poor shabby free economical humble",
            "expensive costly luxurious lavish precious valuable fancy premium pricey golden wealthy rich",
        ),
        "texture": (
            "rough bumpy jagged coarse rugged prickly spiky scratchy thorny rocky uneven gritty",
            "smooth silky polished sleek slippery soft velvety glassy satin even flat fluffy",
        ),
        "difficulty": (
            "difficult hard complicated complex tricky challenging demanding tough puzzling confusing "
            "impossible exhausting",
            "easy simple effortless obvious basic straightforward plain clear manageable elementary painless trivial",
        ),
    }.items()
}
"""Concept name to (adjectives of the first label, adjectives of the second label)."""

TOPICS: dict[str, tuple[str, ...]] = {
    name: tuple(nouns.split())
    for name, nouns in {
        "kitchen": "oven kettle pan spoon plate cook recipe soup bread fridge bowl stove knife cup table "
        "waiter pepper dinner",
        "harbour": "boat sailor anchor pier sail fisherman lighthouse captain net gull wave dock rope ferry "
        "island crab ship beach",
        "office": "desk printer manager meeting folder keyboard secretary report computer phone colleague "
        "lamp chair contract drawer email boss calendar",
        "garden": "rose gardener hedge shovel lawn tulip fence bee path seed shed pond bench oak sparrow "
        "flower wheelbarrow greenhouse",
        "school": "teacher pupil blackboard lesson pencil classroom exam notebook principal book homework "
        "library uniform student playground essay ruler backpack",
        "hospital": "nurse doctor patient bed ward surgeon bandage clinic needle ambulance medicine corridor "
        "wheelchair stethoscope blanket visitor mask pharmacy",
        "stadium": "player referee goal crowd coach ticket whistle team trophy ball jersey match striker "
        "banner fan pitch scoreboard runner",
        "station": "train platform conductor suitcase passenger tunnel timetable carriage rail locomotive "
        "bridge commuter signal driver bus luggage newspaper tram",
        "farm": "cow tractor barn farmer sheep hay goat field horse stable hen orchard plough wheat pig mill "
        "donkey gate",
        "theatre": "actor stage curtain costume audience director script orchestra dancer balcony violin "
        "singer mirror comedy poster puppet piano drama",
    }.items()
}
"""Topic name to the nouns that fill the sentences of a task about it."""

CUE_CLAUSES = (
    "the {noun} was {adjective}",
    "the {noun} looked {adjective}",
    "there was an unusually {adjective} {noun}",
    "they found the {adjective} {noun} near the {other}",
    "we noticed a rather {adjective} {noun}",
    "the {adjective} {noun} stood by the {other}",
    "she remembered the {adjective} {noun}",
    "nobody expected such {article} {adjective} {noun}",
)
"""Clauses with room for one adjective, used for cues and distractors alike so that form tells nothing."""

FILLER_CLAUSES = (
    "we waited beside the {noun}",
    "someone mentioned the {noun} and the {other}",
    "the {noun} belonged to the {other}",
    "he pointed at the {noun}",
    "they talked about the {noun} after the {other}",
    "the {noun} was next to the {other}",
    "I will ask about the {noun} tomorrow",
    "the {other} came before the {noun}",
)
"""Clauses that say nothing about any label."""
