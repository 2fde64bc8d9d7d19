"""Tests that Chromium shows pictures in the colours that the server is tested to give them."""

from base64 import b64encode

import numpy as np
import pytest
from playwright.sync_api import Page

from support.annotated_pictures import METADATA
from support.colored_pictures import COLORED
from support.shown_pictures import ANIMATED, TRANSPARENT, Shown

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

FIRST_ROW = """async (base64) => {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0);
  return Array.from(context.getImageData(0, 0, canvas.width, 1).data);
}"""


@pytest.mark.parametrize("pictures", [TRANSPARENT, ANIMATED, COLORED, METADATA])
def test_browser_shows_what_the_server_is_tested_against(page: Page, pictures: tuple[Shown, ...]) -> None:
    for picture in pictures:
        row = page.evaluate(FIRST_ROW, b64encode(picture.make()).decode())
        colors = np.reshape(row, (-1, 4))[: len(picture.colors), :3]
        np.testing.assert_allclose(colors, picture.colors, atol=1, err_msg=picture.name)
