"""The welcome, start pictures and trajectories of the wire."""

import pytest

from support.picture_files import green, indexed
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.web import translate
from worldplay.web.translate import Greeting, expect_wait_s, read_image, welcome
from worldplay.world.world import World


def test_picture_without_its_palette_is_a_bad_image() -> None:
    with pytest.raises(ProtocolError, match="expected a whole PNG image, got a damaged one") as refused:
        read_image(indexed())
    assert refused.value.code is ErrorCode.BAD_IMAGE


def run_out_of_memory(*_: object) -> None:
    raise MemoryError


def test_lack_of_memory_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translate, "open_image", run_out_of_memory)
    with pytest.raises(ProtocolError) as refused:
        read_image(green())
    assert refused.value.code is ErrorCode.OUT_OF_MEMORY


def test_later_fields_of_the_welcome_are_only_for_clients_that_name_them(world: World) -> None:
    greeting = Greeting(
        "session",
        "secret",
        resumed=False,
        latch="latent",
        keeps_snapshots=True,
        records=True,
        times_real_time=0.4,
    )
    fields = frozenset({"latch", "sights", "snapshots", "times_real_time", "wanted", "recording"})
    told = welcome(world, greeting, fields)
    assert (told.times_real_time, told.wanted, told.recording) == (0.4, True, True)
    assert (told.latch, told.worlds[0].sights, told.snapshots) == ("latent", world.sights, True)
    untold = welcome(world, greeting, frozenset({"revision"}))
    assert (untold.times_real_time, untold.wanted, untold.recording) == (None, None, None)
    assert (untold.latch, untold.worlds[0].sights, untold.snapshots) == (None, None, None)


@pytest.mark.parametrize(
    ("eta_s", "waited_s", "told_s"),
    [(None, 0.0, 120.0), (40.0, 0.0, 40.0), (40.0, 25.0, 15.0), (40.0, 39.0, 10.0), (40.0, 999.0, 10.0)],
)
def test_wait_falls_while_one_waits(eta_s: float | None, waited_s: float, told_s: float) -> None:
    assert expect_wait_s(2, eta_s, waited_s) == told_s
