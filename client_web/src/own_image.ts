/** A visitor's picture, made small enough for the server before it is sent. */

export interface ImageLimits {
  bytes: number;
  pixels: number;
}

/** Which picture a walk began with, as the server reads it in a recorded walk. */
export interface Picture {
  path: string;
  /** Of the bytes that were sent; absent where the browser does not tell. */
  sha256?: string;
}

export interface OwnImage {
  blob: Blob;
  bytes: Uint8Array<ArrayBuffer>;
  picture: Picture;
}

export class UnusablePicture extends Error {}

/** Sent as it is when the server reads the format and it is within the limits. */
const SERVER_FORMATS = new Set(["image/png", "image/jpeg", "image/webp"]);
/** The largest world is smaller than this; more would only cost upload time. */
const LONGEST_SIDE = 1664;
const QUALITIES = [0.92, 0.8, 0.65];

/** The size to scale to: same shape, or a little less long, never enlarged, within both bounds. */
export function sizeWithin(width: number, height: number, pixels: number, longest: number): [number, number] {
  const scale = Math.min(1, longest / Math.max(width, height), Math.sqrt(pixels / (width * height)));
  if (scale === 1) return [width, height];
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  const shorter = Math.max(1, Math.floor(short * scale));
  // The server bounds how long a strip may be; rounding must not carry one over that.
  const longer = Math.min(Math.floor(long * scale), Math.max(1, Math.floor((shorter * long) / short)));
  return width >= height ? [longer, shorter] : [shorter, longer];
}

/** Raises nothing but UnusablePicture, whose words are for the visitor. */
export async function readPicture(file: File, limits: ImageLimits): Promise<OwnImage> {
  try {
    const blob = await prepareImage(file, limits);
    const bytes = new Uint8Array(await blob.arrayBuffer());
    return { blob, bytes, picture: await describe(file.name, bytes) };
  } catch (error) {
    throw error instanceof UnusablePicture ? error : new UnusablePicture("That picture could not be read.");
  }
}

async function describe(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<Picture> {
  // Browsers have it on HTTPS and on this machine only.
  if (crypto.subtle === undefined) return { path };
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return { path, sha256: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") };
}

async function prepareImage(file: Blob, limits: ImageLimits): Promise<Blob> {
  const bitmap = await openBitmap(file);
  try {
    const [width, height] = sizeWithin(bitmap.width, bitmap.height, limits.pixels, LONGEST_SIDE);
    const fits = width === bitmap.width && height === bitmap.height && file.size <= limits.bytes;
    return fits && SERVER_FORMATS.has(file.type) ? file : await shrink(bitmap, width, height, limits.bytes);
  } finally {
    bitmap.close();
  }
}

async function openBitmap(file: Blob): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new UnusablePicture("That file is not a picture this browser can open.");
  }
}

/** JPEG in falling quality, then in falling size, until it fits. */
async function shrink(bitmap: ImageBitmap, width: number, height: number, maxBytes: number): Promise<Blob> {
  const canvas = draw(bitmap, width, height);
  for (const quality of QUALITIES) {
    const blob = await toJpeg(canvas, quality);
    if (blob !== null && blob.size <= maxBytes) return blob;
  }
  if (width < 2 || height < 2) throw new UnusablePicture("That picture cannot be made small enough.");
  return shrink(bitmap, Math.floor(width / 2), Math.floor(height / 2), maxBytes);
}

function draw(bitmap: ImageBitmap, width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (context === null) throw new UnusablePicture("This browser cannot scale pictures.");
  context.fillStyle = "white"; // behind what is transparent, as on the server; a JPEG would make it black
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas;
}

function toJpeg(canvas: HTMLCanvasElement, quality: number): Promise<Blob | null> {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}
