"""Nothing on the page hides what a visitor needs, whatever the window's size."""

import pytest
from playwright.sync_api import FloatRect, Page

from browser.visit import come, open_menu, wait_notice, wait_state, walk
from support.scripted import ScriptedServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

PHONES = [(360, 640), (320, 568), (375, 667), (640, 360), (568, 320), (844, 390)]


def box(page: Page, selector: str) -> FloatRect:
    found = page.locator(selector).bounding_box()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("width", "height"), [(360, 640), (320, 568), (640, 360), (568, 320), (768, 1024), (1280, 600)]
)
def test_start_is_in_sight_without_scrolling(
    script: ScriptedServer, page: Page, width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    come(page, script.address)
    assert_in_sight(page, height)
    page.click("#walk")
    wait_state(page, "walking")
    open_menu(page)
    assert_in_sight(page, height)


def assert_in_sight(page: Page, height: int) -> None:
    button = page.locator("#walk")
    box = button.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < box["y"] + box["height"] <= height
    centre = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    assert page.evaluate("([x, y]) => document.elementFromPoint(x, y).closest('#walk') !== null", centre)


@pytest.mark.parametrize(("width", "height"), PHONES)
def test_pause_moves_nothing_and_its_sign_is_in_sight(
    script: ScriptedServer, page: Page, width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    walk(page, script.address)
    bar = box(page, "#bar")
    page.keyboard.press("p")
    page.keyboard.press("2")
    wait_notice(page, "You will see it when the walk goes on.")
    assert box(page, "#bar") == bar
    sign, notice = words_box(page, "#paused-sign"), box(page, "#notice")
    assert sign["y"] + sign["height"] <= notice["y"] or notice["y"] + notice["height"] <= sign["y"]
    assert box(page, "#top")["height"] <= sign["y"]


def words_box(page: Page, selector: str) -> FloatRect:
    """Where the words of an element are, which may be much larger."""
    found: FloatRect = page.locator(selector).evaluate(
        """(element) => {
          const range = document.createRange();
          range.selectNodeContents(element);
          const { x, y, width, height } = range.getBoundingClientRect();
          return { x, y, width, height };
        }"""
    )
    return found


def test_menu_ends_a_passing_remark_that_would_cover_it(script: ScriptedServer, page: Page) -> None:
    walk(page, script.address)
    page.keyboard.press("2")
    wait_notice(page, "Now: dusk.")
    open_menu(page)
    assert page.locator("#notice.visible").count() == 0
