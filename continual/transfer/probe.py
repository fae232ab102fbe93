"""The probe: fixed sentences without labels on which all prompts are compared."""

from functools import cache

PROBE_TEXTS = (
    "The city council will vote on the new budget next Tuesday.",
    "Police confirmed that one person was injured in the incident downtown.",
    "I have been waiting for this album for three years and it does not disappoint.",
    "Unconfirmed reports say that the airport has been closed.",
    "The battery died after two weeks and nobody answered my emails.",
    "How do I reset the password of my router?",
    "She won the final in straight sets after a slow start.",
    "Scientists have found a new species of frog in the rain forest.",
    "The hotel room was clean, quiet and close to the station.",
    "Stocks fell sharply after the central bank raised interest rates.",
    "Breaking: witnesses describe loud explosions near the harbour.",
    "This is the worst film I have seen this year.",
    "The river Danube flows through ten countries.",
    "Why do cats purr when they are stroked?",
    "The minister denied that the document was genuine.",
    "Fresh bread, good coffee and friendly people behind the counter.",
    "The company announced a new phone with a larger screen.",
    "Three suspects were arrested early this morning.",
    "He was born in a small village and studied law.",
    "The vaccine was tested on thirty thousand volunteers.",
    "Our thoughts are with the families of the victims.",
    "The soup was cold and the waiter was rude.",
    "Which university offers the best course in chemistry?",
    "The striker missed a penalty in the last minute.",
    "A man claims that he saw the suspect leave the building.",
    "The museum shows paintings from the seventeenth century.",
    "Add the flour slowly and stir until the dough is smooth.",
    "Nothing has been confirmed by the authorities so far.",
    "The sound is thin and the headphones hurt after an hour.",
    "Heavy rain is expected in the north over the weekend.",
    "The treaty was signed by twelve nations in the spring.",
    "Please share this photograph, she has been missing since Friday.",
    "The second season is even better than the first.",
    "The court found the former mayor guilty of fraud.",
    "What is the difference between a virus and a bacterium?",
    "The engine was redesigned to use less fuel.",
    "Sources tell us that the president is in good health.",
    "I returned it the next day and got my money back.",
    "The bridge will be closed for repairs until October.",
    "They lost four games in a row and changed the coach.",
    "It is a town in the district of Oxford with a population of five thousand.",
    "Eating garlic does not protect you from infection.",
    "The crowd gathered peacefully in front of the embassy.",
    "You can download the update from the settings menu.",
    "Great value, fast delivery, would buy again.",
    "Experts doubt that the video is real.",
    "The orchestra played without a conductor.",
    "The plane disappeared from radar shortly before noon.",
    "Is it safe to invest all my savings in one company?",
    "The author spent ten years writing her second novel.",
    "Officials urge everyone to stay indoors until further notice.",
    "The plot makes no sense and the acting is wooden.",
    "A new study links sleep to better memory.",
    "The team of engineers launched the satellite successfully.",
    "My order arrived broken for the second time.",
    "The festival attracts visitors from all over the world.",
    "The suspect is still at large, police say.",
    "He played the piano before he could read.",
    "Farmers protest against lower prices for milk.",
    "The castle was built on a hill above the lake.",
    "No hostages were harmed, according to a spokesman.",
    "The staff went out of their way to help us.",
    "Oil prices rose for the third day in a row.",
    "We do not know yet who is behind the attack.",
)
"""Sixty-four sentences from news, rumours, reviews, questions and encyclopaedias, written for this purpose.

They are part of the metric: changing one makes stored signatures incomparable with new ones."""


@cache
def probe_version() -> str:
    """A short digest of the probe texts, stored with each signature so that stale ones are noticed."""
    import hashlib

    return hashlib.sha256("\n".join(PROBE_TEXTS).encode()).hexdigest()[:12]
