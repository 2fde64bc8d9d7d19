import { afterEach, expect, it, vi } from "vitest";
import { readPicture, UnusablePicture } from "../src/own_image";

const LIMITS = { bytes: 1_000, pixels: 1_000_000 };

afterEach(() => vi.unstubAllGlobals());

/** The browser opens every file as a picture of this size. */
function opensAs(width: number, height: number): void {
  vi.stubGlobal("createImageBitmap", async () => ({ width, height, close: () => undefined }));
}

it("sends a small picture as it is, and knows it again", async () => {
  opensAs(160, 96);
  const { bytes, picture } = await readPicture(new File(["abc"], "me.png", { type: "image/png" }), LIMITS);
  expect([...bytes]).toEqual([97, 98, 99]);
  const sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  expect(picture).toEqual({ path: "me.png", sha256 });
});

it("does without a digest where the browser has none", async () => {
  opensAs(160, 96);
  vi.stubGlobal("crypto", {});
  const { picture } = await readPicture(new File(["abc"], "me.png", { type: "image/png" }), LIMITS);
  expect(picture).toEqual({ path: "me.png" });
});

it("has words for whatever goes wrong", async () => {
  const file = new File(["abc"], "me.gif", { type: "image/gif" });
  await expect(readPicture(file, LIMITS)).rejects.toThrow("not a picture this browser can open");
  opensAs(160, 96); // and then there is no canvas to draw it on
  await expect(readPicture(file, LIMITS)).rejects.toThrow(
    new UnusablePicture("That picture could not be read."),
  );
});
