import { afterEach, expect, it, vi } from "vitest";
import { readPicture, serverFormat, sizeWithin, UnusablePicture } from "../../src/ui/own_image";

const LIMITS = { bytes: 1_000, pixels: 1_000_000 };

afterEach(() => vi.unstubAllGlobals());

const PNG = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2]);
const bytesOf = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(text, (each) => each.charCodeAt(0));

/** The browser opens every file as a picture of this size. */
function opensAs(width: number, height: number): void {
  vi.stubGlobal("createImageBitmap", async () => ({ width, height, close: () => undefined }));
}

/** A canvas that makes pictures of a byte per 1000 pixels. */
function draws(): string[] {
  const made: string[] = [];
  const context = { fillRect: () => undefined, drawImage: () => undefined };
  const canvas = {
    width: 0,
    height: 0,
    getContext: () => context,
    toBlob(done: BlobCallback, type: string) {
      made.push(`${type} ${canvas.width}x${canvas.height}`);
      done(new Blob(["x".repeat((canvas.width * canvas.height) / 1_000)], { type }));
    },
  };
  vi.stubGlobal("document", { createElement: () => canvas });
  return made;
}

it.each(["me.png", "me.jpg", "me"])("sends a picture as it is, whatever it is called: %s", async (name) => {
  opensAs(5_000, 200);
  const { blob, bytes, picture } = await readPicture(new File([PNG], name, { type: "text/plain" }), LIMITS);
  expect([...bytes]).toEqual([...PNG]);
  expect(blob.type).toBe("image/png");
  const sha256 = "b7c23e74a00c13aa5dd34e3ec6f1999483a340aeebc4f054fad4c98bc66d3e35";
  expect(picture).toEqual({ path: name, sha256 });
});

it("does without a digest where the browser has none", async () => {
  opensAs(160, 96);
  vi.stubGlobal("crypto", {});
  const { picture } = await readPicture(new File([PNG], "me.png", { type: "image/png" }), LIMITS);
  expect(picture).toEqual({ path: "me.png" });
});

it.each([
  ["\x89PNG\r\n\x1a\n...", "image/png"],
  ["\xff\xd8\xff\xe0..JFIF", "image/jpeg"],
  ["RIFF\x0a\x0d\x00\x00WEBPVP8 ", "image/webp"],
  ["RIFF....WAVE", null],
  ["\0\0\0\x20ftypavif", null],
  ["BM......", null],
  ["GIF89a", null],
  ["", null],
])("knows %j by its bytes", (bytes, expected) => {
  expect(serverFormat(bytesOf(bytes))).toBe(expected);
});

it("redraws what the server does not read, without loss if it is small", async () => {
  opensAs(800, 480);
  const made = draws();
  await readPicture(new File([bytesOf("\0\0\0\x20ftypavif")], "a.png", { type: "image/png" }), LIMITS);
  expect(made).toEqual(["image/png 800x480"]);
});

it.each([
  ["larger than the server takes", 32_000_000, 10_000, "image/jpeg 1664x1248"],
  ["much larger", 1_000_000, 10_000, "image/png 1154x866"],
  ["with too many bytes", 64_000_000, 9, "image/jpeg 104x78"],
])("redraws a picture %s", async (_how, pixels, bytes, expected) => {
  opensAs(8_000, 6_000);
  const made = draws();
  await readPicture(new File([PNG], "a.png"), { bytes, pixels });
  expect(made.at(-1)).toBe(expected);
});

it("has words for whatever goes wrong", async () => {
  const file = new File(["abc"], "me.gif", { type: "image/gif" });
  await expect(readPicture(file, LIMITS)).rejects.toThrow("This browser cannot open that file");
  opensAs(160, 96); // and then there is no canvas to draw it on
  await expect(readPicture(file, LIMITS)).rejects.toThrow(
    new UnusablePicture("That picture could not be read."),
  );
});

it.each([
  [
    [800, 480],
    [800, 480],
  ],
  [
    [4_000, 3_000],
    [1_664, 1_248],
  ],
  [
    [1_600, 1_600],
    [1_000, 1_000],
  ],
  [
    [5_000, 1],
    [1_664, 1],
  ],
])("scales %j to %j, never up", ([width = 0, height = 0], expected) => {
  const pixels = width === height ? 1_000_000 : 16_000_000;
  expect(sizeWithin(width, height, pixels, 1_664)).toEqual(expected);
});

it("never makes a strip longer for its width", () => {
  const [width, height] = sizeWithin(5_000, 500, 16_000_000, 1_664);
  expect(width / height).toBeLessThanOrEqual(10);
  expect(sizeWithin(500, 5_000, 16_000_000, 1_664)).toEqual([height, width]);
});
