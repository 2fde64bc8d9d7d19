"""What a visitor puts into the page in real Chromium: keys, text and pictures of every kind."""

import io
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page

from browser.visit import STATE, come, wait_state
from support.scripted import ScriptedServer
from worldplay.protocol import messages as m

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

GREEN = (60, 200, 60)


@pytest.fixture
def visitor(script: ScriptedServer, page: Page) -> Page:
    come(page, script.address)
    return page


def start(page: Page) -> None:
    page.click("#walk")
    wait_state(page, "walking")


def encoded(kind: str, size: tuple[int, int] = (160, 96)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, GREEN).save(file, kind)
    return file.getvalue()


def sent_picture(
    script: ScriptedServer, page: Page, name: str, data: bytes, mime: str = "image/jpeg"
) -> bytes:
    page.set_input_files("#own-file", {"name": name, "mimeType": mime, "buffer": data})
    page.wait_for_selector("#own.chosen")
    start(page)
    image = script.asked(m.Start)[-1].image
    assert image is not None
    return image


@pytest.mark.parametrize("kind", ["BMP", "GIF", "ICO"])
def test_picture_that_the_server_does_not_read_is_redrawn(
    script: ScriptedServer, visitor: Page, kind: str
) -> None:
    sent = Image.open(io.BytesIO(sent_picture(script, visitor, "me.jpg", encoded(kind))))
    assert sent.format == "PNG"
    assert sent.convert("RGB").getpixel((5, 5)) == GREEN


def test_svg_is_redrawn(script: ScriptedServer, visitor: Page) -> None:
    svg = (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="160" height="96"><rect width="9" height="9"/></svg>'
    )
    sent = Image.open(io.BytesIO(sent_picture(script, visitor, "me.svg", svg, "image/svg+xml")))
    assert (sent.format, sent.size) == ("PNG", (160, 96))


@pytest.mark.parametrize(("kind", "name", "mime"), [("PNG", "me.jpg", "image/jpeg"), ("WEBP", "me", "")])
def test_picture_that_the_server_reads_is_sent_as_it_is(
    script: ScriptedServer, visitor: Page, kind: str, name: str, mime: str
) -> None:
    data = encoded(kind, (3000, 2000))
    assert sent_picture(script, visitor, name, data, mime) == data


PASTE = """async ([text, target]) => {
  const canvas = document.createElement("canvas");
  const blob = await new Promise((made) => canvas.toBlob(made));
  const clipboardData = new DataTransfer();
  if (text) clipboardData.setData("text/plain", text);
  clipboardData.items.add(new File([blob], "image.png", { type: "image/png" }));
  const field = document.querySelector(target);
  const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
  let isRead = false;
  const read = File.prototype.arrayBuffer;
  File.prototype.arrayBuffer = function () {
    isRead = true;
    return read.call(this);
  };
  field.focus();
  field.dispatchEvent(event);
  return isRead;
}"""


@pytest.mark.parametrize(
    ("text", "target", "is_picture"),
    [("a red court", "#prompt", False), ("", "#prompt", True), ("a red court", "body", True)],
)
def test_text_wins_over_its_picture_in_a_text_field(
    visitor: Page, text: str, target: str, is_picture: bool
) -> None:
    assert visitor.evaluate(PASTE, [text, target]) == is_picture
    if is_picture:
        visitor.wait_for_selector("#own.chosen")


def test_text_can_be_dragged_into_the_prompt(visitor: Page) -> None:
    title, prompt = (visitor.locator(each).bounding_box() for each in ("#panel-title", "#prompt"))
    assert title is not None
    assert prompt is not None
    y = title["y"] + title["height"] / 2
    visitor.mouse.dblclick(title["x"] + 20, y)
    visitor.mouse.move(title["x"] + 20, y)
    visitor.mouse.down()
    visitor.mouse.move(title["x"] + 60, y + 10, steps=4)
    visitor.mouse.move(prompt["x"] + 20, prompt["y"] + prompt["height"] / 2, steps=10)
    visitor.mouse.up()
    visitor.wait_for_function("document.querySelector('#prompt').value === 'Walk'")


def press(page: Page, key: str, code: str) -> Any:
    """Press a key that may have no place. Returns: the keys held meanwhile."""
    return page.evaluate(
        """([key, code]) => {
          const fields = { key, code, bubbles: true };
          const send = (type) => document.body.dispatchEvent(new KeyboardEvent(type, fields));
          send("keydown");
          const { keys } = window.worldplay;
          send("keyup");
          return keys.join();
        }""",
        [key, code],
    )


def test_reset_can_be_typed_where_its_letter_steers(script: ScriptedServer, visitor: Page) -> None:
    start(visitor)
    assert press(visitor, "r", "KeyS") == "s"  # Colemak
    assert script.asked(m.Reset) == []
    visitor.keyboard.press("Backspace")
    visitor.wait_for_selector("#notice.visible >> text=Back where the walk began.")
    assert len(script.asked(m.Reset)) == 1
    visitor.set_viewport_size({"width": 1600, "height": 900})  # room for the keys' names
    assert "⌫" in visitor.inner_text("#bar [data-command=KeyR]")


def test_numeric_pad_without_numlock_turns(visitor: Page) -> None:
    start(visitor)
    assert press(visitor, "ArrowLeft", "Numpad4") == "left"
    assert visitor.evaluate(f"{STATE}.prompt") == ""
    press(visitor, "2", "Numpad2")
    visitor.wait_for_function(f"{STATE}.prompt === 'the court at dusk'")
