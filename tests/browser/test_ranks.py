"""A visitor walks in the embedded world while two ranks compute it."""

from functools import partial

import pytest
import torch
from playwright.sync_api import Page

from browser.visit import STATE, state, wait_frames, walk
from support.ranks import ranks_on_this_cpu
from support.serving import serving
from worldplay.ranks.leader import Leader
from worldplay.world.embedded.load import EMBEDDED, load_embedded, load_networks

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_walk_on_two_ranks(page: Page) -> None:
    with ranks_on_this_cpu(2) as ranks:
        assert isinstance(ranks, Leader)
        ranks.load(partial(load_networks, EMBEDDED))
        world = load_embedded(EMBEDDED, torch.device("cpu"), ranks)
        with serving(world, max_sessions=1) as address:
            walk(page, address)
            page.keyboard.down("w")
            page.wait_for_function(f"{STATE}.latencies.length >= 1")  # from here on the view moves
            wait_frames(page, 48)
            assert state(page)["lastError"] is None
            page.goto("about:blank")
