"""What people may write who want to see the courtyard in one of its lights."""

from collections.abc import Sequence

import numpy as np

from worldplay.world.court import LIGHTS

TYPO_SHARE = 0.1


def _split(phrases: str) -> tuple[str, ...]:
    return tuple(" ".join(phrases.split()).split(", "))


# Words that alone decide the light.
_SIGNS = {
    "day": _split(
        """
        day, by day, daytime, daylight, in the daytime, in daylight, noon, at noon, midday, at
        midday, in the afternoon, afternoon, a sunny afternoon, morning, in the morning, late
        morning, a bright morning, sun, sunny, sunshine, sunlit, in the sun, under a blue sky, a
        clear blue sky, on a sunny day, on a clear day, a summer day, summer, in summer, spring, in
        spring, broad daylight, bright light, a bright day, clear weather, nice weather, warm
        sunlight, full sun, the sun is high, no snow, without snow, normal, as usual, the sun
        shines, make it day, bring back the day, bright and sunny, lunchtime
        """
    ),
    "dusk": _split(
        """
        dusk, at dusk, sunset, at sunset, evening, in the evening, the evening, twilight, at
        twilight, golden hour, in the golden hour, sundown, at sundown, nightfall, gloaming, the
        setting sun, an orange sky, under an orange sky, a red sky, a purple sky, evening light,
        evening glow, afterglow, late evening, a warm evening, the sun is setting, the sun goes
        down, dawn, at dawn, sunrise, at sunrise, daybreak, early in the morning, the last light,
        last light of the day, low sun, the sun is low, orange light, red light, crepuscular light,
        make it dusk, make it evening, let the sun set, a summer evening, the day is ending
        """
    ),
    "night": _split(
        """
        night, at night, by night, in the night, nighttime, night time, midnight, at midnight, moon,
        moonlight, moonlit, in the moonlight, under the moon, full moon, starry, stars, under the
        stars, a starry sky, dark, darkness, in the dark, after dark, a dark sky, black sky, lit
        windows, lantern light, by lantern light, lamps, lamplight, the lights are on, late at
        night, a quiet night, a summer night, tonight, in the small hours, nocturnal, make it night,
        make it dark, turn off the sun, switch on the lights, glowing windows
        """
    ),
    "snow": _split(
        """
        snow, in snow, in the snow, snowy, snowing, it snows, snowfall, snowed in, fresh snow,
        covered in snow, snow-covered, under snow, deep snow, a blanket of snow, winter, in winter,
        wintry, a winter day, winter morning, a white winter, frost, frosty, frozen, ice, icy, cold,
        a cold day, blizzard, a snowstorm, snowflakes, christmas, at christmas, january, in
        december, let it snow, make it snow, white roofs, white with snow, after the snowfall, a
        snowy night, a snowy evening, sunny winter day, a snowy day, snow at dusk, snow by day
        """
    ),
}
_PLACES = _split(
    """
    a courtyard, the courtyard, courtyard, a walled courtyard, the court, a garden, the garden, a
    square with a red gate, the place, the same place, this place, the scene, a town square, the
    blue tower, a blue tower and a gate, the red gate, an arch in a courtyard, the world, a low-poly
    world, a toy castle, walls and towers, a yard with coloured balls, everything, it, a video game
    level, a checkered floor, a colourful courtyard, an old yard, an empty courtyard
    """
)
_MOODS = _split(
    """
    calm, peaceful, quiet, cinematic, beautiful, first person view, photorealistic, detailed,
    walking through, atmospheric, soft shadows, 4k, high quality, wide angle, mysterious, lonely, a
    gentle breeze, clear air, dreamy, cosy, vivid colours, a stroll, exploring, hd, romantic
    """
)
_VERBS = (
    "make it",
    "now",
    "please",
    "show me",
    "change to",
    "i want",
    "let it be",
    "turn it into",
    "suddenly",
)
# Nothing about the light: then it is day.
_OTHERS = _split(
    """
    a castle, a city, a forest path, a spaceship, robots, a cat, a dog, a market, a beach, hello,
    test, asdf, walk forward, go left, what is this, a house, cyberpunk, watercolour, a car drives
    by, people, music, nothing, the view from the gate, look at the tower, default
    """
)


def draw_prompt(rng: np.random.Generator) -> tuple[str, int]:
    """A prompt and its light, an index into LIGHTS."""
    light = int(rng.integers(len(LIGHTS)))
    if LIGHTS[light] == "day" and rng.random() < 0.4:
        return _spell(rng, _without_sign(rng)), light
    return _spell(rng, _with_sign(rng, _pick(rng, _SIGNS[LIGHTS[light]]))), light


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _without_sign(rng: np.random.Generator) -> str:
    parts = [_pick(rng, choices) for choices in (_OTHERS, _PLACES, _MOODS) if rng.random() < 0.5]
    rng.shuffle(parts)
    return _join(rng, parts)


def _with_sign(rng: np.random.Generator, sign: str) -> str:
    before: list[str] = []
    after: list[str] = []
    if rng.random() < 0.15:
        before.append(_pick(rng, _VERBS))
    if rng.random() < 0.6:
        (before if rng.random() < 0.75 else after).append(_pick(rng, _PLACES))
    for part in (_pick(rng, _MOODS), _pick(rng, _MOODS), _pick(rng, _OTHERS)):
        if rng.random() < 0.25:
            (before if rng.random() < 0.4 else after).append(part)
    return _join(rng, [*before, sign, *after])


def _join(rng: np.random.Generator, parts: list[str]) -> str:
    text = (" " if rng.random() < 0.5 else ", ").join(parts)
    return text + _pick(rng, ("", "", ".", "!"))


def _spell(rng: np.random.Generator, text: str) -> str:
    """Sometimes lose a letter or swap two."""
    if len(text) < 6 or rng.random() > TYPO_SHARE:
        return text
    at = int(rng.integers(1, len(text) - 2))
    if rng.random() < 0.5:
        return text[:at] + text[at + 1 :]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
