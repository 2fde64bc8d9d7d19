"""Phrases for training prompts: about the courtyard's lights, and about everything else."""


def _split(phrases: str) -> tuple[str, ...]:
    return tuple(" ".join(phrases.split()).split(", "))


# Phrases that alone decide the light.
SIGNS = {
    "day": _split(
        """
        day, by day, daytime, daylight, in the daytime, in daylight, noon, at noon, midday, at
        midday, in the afternoon, afternoon, a sunny afternoon, morning, in the morning, late
        morning, a bright morning, sun, sunny, sunshine, sunlit, in the sun, under a blue sky, a
        clear blue sky, blue sky, on a sunny day, on a clear day, a summer day, summer, in summer,
        spring, in spring, broad daylight, bright light, a bright day, clear weather, nice weather,
        warm sunlight, full sun, the sun is high, no snow, without snow, normal, as usual, the sun
        shines, make it day, bring back the day, bright and sunny, lunchtime, high noon, midsummer,
        a cloudless sky, no clouds, not a single cloud, a few white clouds, white clouds, fluffy
        clouds, under the blazing sun, blazing sunshine, the sun overhead, sun overhead, sunlight,
        in bright sunlight, harsh sunlight, strong sunlight, sun rays, bright, brightly lit, well
        lit, hot, a hot day, heat, in the heat, scorching, warm weather, a warm day, beach weather,
        in may, june, july, august, in june, a day in july, an august day, an april morning, april,
        a may morning, easter, school holidays, summer holidays, vacation, picnic, a picnic, picnic
        weather, time for ice cream, eating ice cream, sunbathing, sunscreen, sunglasses, short
        sleeves, t-shirt weather, a swim in the pool, playing in the sun, birds singing in the sun,
        butterflies, flowers in bloom, bees and flowers, green grass, lunch break, at lunch, coffee
        break, at ten in the morning, ten in the morning, eleven o'clock, noon sun, 12 pm, 1 pm, 2
        pm, 3 pm, at two in the afternoon, 10 am, 11 am, 12:00, 14:00, mid afternoon, early
        afternoon, mid morning, the middle of the day, in the middle of the day, while it is light,
        when it is light, in full light, during the day, all day, day time, turn on the sun, switch
        on the sun, melt the snow, the snow has melted, no more snow, no more darkness, stop the
        snow, end the night, the night is over, winter is over, back to normal, normal light,
        ordinary daylight, good visibility, blue above, azure, azure sky, a fine day, a beautiful
        sunny day, a lovely day, fair weather, good weather, pleasant weather, sunny weather,
        mediterranean light, tropical sun, sun and shadows, crisp shadows in the sun, the shadows
        are short, drying laundry in the sun, sunday lunch, farmers at work at noon, kids playing at
        midday, the brightest time of the day, dazzling, radiant, heatwave, the sun is out, sun's
        out, the sun comes out, the sun is up, wide awake at noon, the clock strikes twelve at noon
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
        make it dusk, make it evening, let the sun set, a summer evening, the day is ending, before
        dark, shortly before dark, before it is dark, before night falls, before the night comes, as
        night falls, as darkness falls, night is falling, when night falls, it is getting dark,
        getting dark, gets dark, growing dark, not yet dark, almost dark, half dark, nearly night,
        almost night, between day and night, between light and dark, the end of the day, at the end
        of the day, at day's end, the day is over, after work, on the way home from work, day fades,
        fading light, the light fades, dimming light, dim light, dying light, the sun sinks, a
        sinking sun, sinking sun, the sun dips below the horizon, the sun touches the horizon, sun
        on the horizon, on the horizon the sun, the sun is gone, the sun has just set, just after
        sunset, just before sunset, just before sunrise, before sunrise, the sun is rising, the sun
        rises, a rising sun, first light, the first light of day, the first rays, at first light,
        morning glow, morning red, a new day begins, the day begins, a day is born, cock crow, the
        rooster crows, wake up early, an early riser, at six in the evening, seven in the evening, 6
        pm, 7 pm, 8 pm, 18:00, 19:30, 5 am, 6 am, at five in the morning, dinner time, at dinner
        time, supper, time for supper, a sundowner, an aperitif at sundown, happy hour, watching the
        sun go down, watching the sunset, sunset colours, colours of the evening, pink sky, a pink
        sky, pink clouds, red clouds, clouds on fire, the sky is on fire, a burning sky, the sky
        burns, glowing sky, the sky glows red, orange glow, orange and pink, purple and orange,
        amber light, golden light, gold light, warm low light, long shadows, shadows grow long, the
        shadows are long, vespers, evening prayer, evening mood, evening calm, evening sun, morning
        sun low over the wall, blue hour, in the blue hour, dusky, twilit, vesper bells, lights come
        on at dusk, the street lamps are just coming on, the moon is about to rise, the first star,
        waiting for the night, romantic sunset, a romantic evening, campfire at dusk, fireflies at
        dusk, bats at dusk, october evening, an autumn evening, a spring evening, good evening,
        tonight's sunset, wait until evening, let it get late, let the evening come, dim the light,
        lower the sun, move the sun down, set the sun
        """
    ),
    "night": _split(
        """
        night, at night, by night, in the night, nighttime, night time, midnight, at midnight, moon,
        moonlight, moonlit, in the moonlight, under the moon, full moon, starry, stars, under the
        stars, a starry sky, dark, darkness, in the dark, after dark, a dark sky, black sky, lit
        windows, lantern light, by lantern light, lamps, lamplight, the lights are on, late at
        night, a quiet night, a summer night, tonight, in the small hours, nocturnal, make it night,
        make it dark, turn off the sun, switch on the lights, glowing windows, a dark night, the
        dead of night, in the dead of night, in the middle of the night, deep in the night, all
        night, overnight, during the night, good night, it is night, it is dark, it is dark outside,
        dark outside, completely dark, total darkness, complete darkness, pitch dark, pitch-black,
        pitch black, black as coal, blackness, gloomy and black, shadowy and black, no light,
        without light, no sun, without the sun, no light but the moon, lights out, the lights are
        out, turn off the light, turn the lights off, switch off the light, lights off, power cut,
        blackout, the moon, a new moon, half moon, crescent moon, the moon shines, moonshine, silver
        moonlight, pale moonlight, silver light, moonbeams, moon and stars, the stars are out,
        starlight, starlit, by starlight, the milky way, constellations, a shooting star, shooting
        stars, meteor shower, northern lights, galaxy above, stargazing, astronomy, telescope, a
        nightmare, night sky, under a black sky, lantern, lanterns, a glowing lantern, lamps are
        lit, lamp, torch, torches, by torchlight, flashlight, with a flashlight, candle, candles, by
        candlelight, candlelit, streetlights, street lamps, neon lights, glowing lights, lights in
        the windows, windows aglow, bonfire at night, fireworks, fireflies at night, owls, an owl
        hoots, bats, wolves howl at the moon, crickets at night, ghosts, ghost hour, witching hour,
        vampires, halloween, haunted, spooky, creepy and dark, burglars, a thief in the night, night
        watch, night watchman, the guard's night round, nightlife, night shift, night walk, walk at
        midnight, past midnight, after midnight, before midnight, 11 pm, 12 am, 1 am, 2 am, 3 am, 4
        am, 23:00, 00:00, 02:00, at three in the morning, three in the morning, at two at night, ten
        at night, eleven at night, the clock strikes midnight, bedtime, time to sleep, asleep,
        sleeping, everybody sleeps, while the city sleeps, the town is asleep, sleepless, insomnia,
        dreams, dreaming in the dark, long after sunset, hours after sunset, long before dawn, the
        sun is long gone, when the sun is long gone, after nightfall, once it is dark, when it is
        dark, cannot see a thing, can hardly see anything, can't see my hand, nothing to see but
        darkness, too dark to see, dim and dark, dark blue sky, dark blue night, summer night,
        silent night, noir, film noir, new year's eve fireworks, make it darker, darker, darken,
        turn day into night, let night fall, let the night come, let there be night
        """
    ),
    "snow": _split(
        """
        snow, in snow, in the snow, snowy, snowing, it snows, snowfall, snowed in, fresh snow,
        covered in snow, snow-covered, under snow, deep snow, a blanket of snow, winter, in winter,
        wintry, a winter day, winter morning, a white winter, frost, frosty, frozen, ice, icy, cold,
        a cold day, blizzard, a snowstorm, snowflakes, christmas, at christmas, january, in
        december, let it snow, make it snow, white roofs, white with snow, after the snowfall, a
        snowy night, a snowy evening, sunny winter day, a snowy day, snow at dusk, snow by day, it
        is snowing, the snow falls, falling snow, snow is falling, snow falls, snow on the ground,
        snow on the roofs, snow everywhere, snow all around, full of snow, thick snow, heavy snow,
        light snow, powder snow, new snow, the first snow, first snow of the year, last night's
        snow, after a night of snow, snow flurries, flurries, flakes, snowdrift, snowdrifts, snow
        cover, a layer of snow, white everywhere, all white, everything is white, everything white,
        a white blanket, a white carpet, a white landscape, white ground, white floor, white world,
        whiteout, ice and snow, covered in ice, black ice, icicles, frozen ground, frozen over, the
        fountain is frozen, the pond has frozen over, freezing, freezing cold, it is freezing, below
        zero, below freezing, minus ten degrees, ten below zero, -10 degrees, sub-zero, subzero,
        chilly, chill, bitter cold, bitterly cold, ice cold, biting cold, a cold snap, cold winter,
        hoarfrost, glazed with frost, frostbite, arctic, antarctica, polar, siberia, siberian,
        alaska, lapland, the north pole, ice age, alpine winter, alps in winter, glacier, december,
        a december morning, a january night, february, in february, in january, november snow, mid
        winter, midwinter, the depth of winter, deep winter, wintertime, winter time, winter
        wonderland, winter landscape, winter scene, winter evening, winter night, winter's day, a
        harsh winter, a hard winter, winter has come, winter is here, xmas, a white christmas,
        christmas eve, christmas morning, santa claus, santa, reindeer, sleigh, sleigh bells,
        advent, holiday season with snow, ski, skis, ski slope, ski holiday, on skis, skiing, to go
        skiing, snowboard, snowboarding, sledge, sledging, sled, sledding, tobogganing, ice skating,
        skating, ice hockey, curling, snowball, snowballs, a snowball fight, snowman, a snowman,
        build a snowman, footprints in the snow, shovel, shovelling snow, snow plough, snow boots,
        mittens, mittens and scarf, woolly hat, warm coat, thick coat, bring a coat, hot chocolate
        after the cold, breath in the cold air, igloo, penguins, polar bears, huskies, yeti, freeze
        everything, freeze the courtyard, cover it in snow, cover everything with snow, turn it
        white, paint it white with snow, bring the winter, bring snow, add snow, add some snow, more
        snow, snow please, start snowing, narnia, frozen kingdom, ice queen, snow queen
        """
    ),
}
PLACES = _split(
    """
    a courtyard, the courtyard, courtyard, a walled courtyard, the court, a garden, the garden, a
    square with a red gate, the place, the same place, this place, the scene, a town square, the
    blue tower, a blue tower and a gate, the red gate, an arch in a courtyard, the world, a low-poly
    world, a toy castle, walls and towers, a yard with coloured balls, everything, it, a video game
    level, a checkered floor, a colourful courtyard, an old yard, an empty courtyard, the gate, the
    tower, the walls, the roofs, this yard, the garden corner, the tiles, the floor, outside, out
    here, outdoors, in front of the gate, by the tower, over the walls, above the roofs, behind the
    tower, beyond the wall, on the tiles, in the corner, the sky, the ground
    """
)
MOODS = _split(
    """
    calm, peaceful, quiet, cinematic, beautiful, first person view, photorealistic, detailed,
    walking through, atmospheric, soft shadows, 4k, high quality, wide angle, mysterious, lonely, a
    gentle breeze, clear air, dreamy, cosy, vivid colours, a stroll, exploring, hd, romantic, a
    walk, a slow walk, the camera moves forward, slow camera, steady camera, pov, realistic, highly
    detailed, masterpiece, magical, silent, still, nobody around, empty, no people, very, really, a
    bit of, lots of, i walk slowly, we walk around, someone walks, feels like, looks like, the
    weather, wind, a light breeze, mood, ambience, scenery, landscape, weather, time, season, air
    """
)
VERBS = (
    "make it",
    "now",
    "please",
    "show me",
    "change to",
    "i want",
    "let it be",
    "turn it into",
    "suddenly",
    "it is",
    "it's",
    "there is",
    "there was",
    "now it's",
    "time for",
    "go to",
    "switch to",
    "can we have",
    "let's have",
    "what a",
    "such a",
    "on a",
    "during",
    "imagine",
    "a place in",
    "the world in",
    "we are in",
    "set the scene to",
)
# Nothing about the light, which means day. Many resemble words about light, or are about colours.
OTHERS = _split(
    """
    slowly, walking slowly, a person walking slowly, moving slowly forward, slow, very slow, slow
    motion, a slow pan, slow down, show everything, show the way, i know this place, now, how, grow,
    growing plants, flowing water, blowing wind, the wind blows, shadow, shadows, a window, windows,
    a light wind, light steps, a light touch, light colours, light blue, lightweight, delightful,
    bright colours, bright red, brightly painted, colourful, dark wood, dark colours, dark blue,
    dark green, nice, a nice place, advice, a price, police, a start, starting, start walking,
    restart, a stare, rising, high walls, a high wall, on the right, to the right, right, turn
    right, the sight, a fight, flight, insight, height, weight, eight, a knight, today, some day,
    every day, birthday, a birthday party, monday, friday, sunday, a holiday, someone, a sunken
    garden, a hundred steps, old, an old place, cobbled, bold, the fold, hold still, gold, golden
    details, white walls, white stone, a white ball, a white tile, black tiles, black and white,
    black stone, an orange ball, the orange sphere, orange, a red gate, red walls, red brick, a
    purple ball, the purple sphere, pink flowers, a pink house, a yellow block, yellow, the blue
    tower, a blue wall, green bushes, teal crates, a teal box, silver, a silver gate, a low wall,
    low walls, the horizon, hills on the horizon, hills behind the walls, the moat, a mood, a room,
    a mountain, mountains, a frozen moment, cool, a cool place, warm colours, warm, a hot dog, early
    work, later, late, last, the last one, first, the first gate, a minute, an hour, next week, this
    month, the end, it begins, the beginning, falling, leaves falling, a fall, standing still, the
    camera stands still, look around, walking around, walking forward through the gate, a smooth
    walk, a low-poly style, flat colours, simple shapes, stylised, a render, unreal engine, ray
    tracing, a quiet walled courtyard with a red gate, a blue tower and coloured balls on a
    checkered floor, turn off the music, switch on the radio, make it bigger, make it red, bring a
    chair, cover the table, melted cheese, a castle, a city, a forest path, a spaceship, robots, a
    cat, a dog, a market, a beach, hello, test, asdf, walk forward, go left, what is this, a house,
    cyberpunk, watercolour, a car drives by, people, music, nothing, the view from the gate, look at
    the tower, default, a fountain, a horse, knights, a dragon, trees, a river, children play, a
    church, a street, a room, turn around, run, jump, who are you, open the gate, lorem ipsum, foo
    bar, a painting, an oil painting, anime, minecraft, pixel art, the sea, mountains, a bridge,
    tourists, a bicycle
    """
)
