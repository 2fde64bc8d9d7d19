"""The four lights in which the courtyard is seen: the same place by day, at dusk, at night and in snow."""

from dataclasses import dataclass

RGB = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Sky:
    """Colours of the sky.

    low and high: of the horizon and the zenith. mountains and hills: two each, for opposite directions.
    disc: of the sun or moon. disc_rise: tangent of its elevation; None: hidden by clouds.
    clouds: None where there are none.
    """

    low: RGB
    high: RGB
    mountains: tuple[RGB, RGB]
    hills: tuple[RGB, RGB]
    disc: RGB
    disc_rise: float | None
    clouds: RGB | None = None


@dataclass(frozen=True, slots=True)
class Light:
    """How a light changes the colours that the place has by day."""

    sky: Sky
    tint: RGB = (1.0, 1.0, 1.0)  # on everything but the sky
    windows: RGB | None = None  # colour of the walls' panels where they are lit from inside
    lantern: RGB | None = None  # colour of the first ball where it glows, and lights what is around it
    shadow: float = 0.0  # how much darker the floor is where the sun does not reach it
    snow: bool = False


LOOKS: dict[str, Light] = {
    "day": Light(
        Sky(
            low=(0.80, 0.90, 0.98),
            high=(0.25, 0.50, 0.92),
            mountains=((0.45, 0.40, 0.62), (0.62, 0.50, 0.50)),
            hills=((0.24, 0.46, 0.24), (0.60, 0.60, 0.26)),
            disc=(1.0, 0.97, 0.75),
            disc_rise=0.42,
            clouds=(0.97, 0.98, 1.0),
        ),
        shadow=0.32,
    ),
    "dusk": Light(
        Sky(
            low=(1.0, 0.62, 0.34),
            high=(0.36, 0.24, 0.50),
            mountains=((0.40, 0.22, 0.38), (0.52, 0.26, 0.30)),
            hills=((0.17, 0.16, 0.20), (0.34, 0.20, 0.16)),
            disc=(1.0, 0.90, 0.55),
            disc_rise=0.36,
            clouds=(0.86, 0.46, 0.44),
        ),
        shadow=0.25,
        tint=(0.98, 0.62, 0.50),
    ),
    "night": Light(
        Sky(
            low=(0.12, 0.16, 0.32),
            high=(0.03, 0.04, 0.13),
            mountains=((0.07, 0.08, 0.17), (0.09, 0.09, 0.15)),
            hills=((0.02, 0.05, 0.06), (0.06, 0.07, 0.06)),
            disc=(0.93, 0.95, 1.0),
            disc_rise=0.42,
        ),
        tint=(0.26, 0.32, 0.54),
        windows=(1.0, 0.82, 0.45),
        lantern=(1.0, 0.64, 0.25),
    ),
    "snow": Light(
        Sky(
            low=(0.86, 0.88, 0.91),
            high=(0.68, 0.73, 0.80),
            mountains=((0.66, 0.69, 0.76), (0.76, 0.76, 0.80)),
            hills=((0.93, 0.95, 0.98), (0.80, 0.84, 0.90)),
            disc=(1.0, 1.0, 1.0),
            disc_rise=None,
        ),
        tint=(0.90, 0.94, 1.0),
        snow=True,
    ),
}

LIGHTS = tuple(LOOKS)
