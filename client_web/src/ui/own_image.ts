/** A visitor's picture: sent as it is where the server can read it, else redrawn. */

export interface ImageLimits {
  bytes: number;
  pixels: number;
}

/** The picture that a walk began with, as a recorded walk names it. */
export interface Picture {
  path: string;
  /** Digest of the bytes that were sent; absent where the browser cannot compute it. */
  sha256?: string;
}

export interface OwnImage {
  blob: Blob;
  bytes: Uint8Array<ArrayBuffer>;
  picture: Picture;
}

export class UnusablePicture extends Error {}

/** What a redrawn picture is scaled to: larger than any world, and small enough to send. */
const LONGEST_SIDE = 1664;
const QUALITIES = [0.92, 0.8, 0.65];
/** A PNG keeps all colours, but becomes too large for more pixels than this. */
const MAX_PNG_PIXELS = 1_000_000;

/** The formats that the server reads, by their first bytes: names and MIME types may be wrong. */
export function serverFormat(bytes: Uint8Array): string | null {
  const head = String.fromCharCode(...bytes.subarray(0, 12));
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (head.startsWith("\xff\xd8\xff")) return "image/jpeg";
  return /^RIFF.{4}WEBP/s.test(head) ? "image/webp" : null;
}

/** The size to scale to: same shape, or a little less long, never enlarged, within both bounds. */
export function sizeWithin(width: number, height: number, pixels: number, longest: number): [number, number] {
  const scale = Math.min(1, longest / Math.max(width, height), Math.sqrt(pixels / (width * height)));
  if (scale === 1) return [width, height];
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  const shorter = Math.max(1, Math.floor(short * scale));
  // The server limits the ratio of the sides; rounding must not increase it.
  const longer = Math.min(Math.floor(long * scale), Math.max(1, Math.floor((shorter * long) / short)));
  return width >= height ? [longer, shorter] : [shorter, longer];
}

/** Throws only UnusablePicture, whose message is for the visitor. */
export async function readPicture(file: File, limits: ImageLimits): Promise<OwnImage> {
  try {
    const blob = await prepareImage(new Uint8Array(await file.arrayBuffer()), file.type, limits);
    const bytes = new Uint8Array(await blob.arrayBuffer());
    return { blob, bytes, picture: await describe(file.name, bytes) };
  } catch (error) {
    throw error instanceof UnusablePicture ? error : new UnusablePicture("That picture could not be read.");
  }
}

async function describe(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<Picture> {
  // Browsers offer `crypto.subtle` on HTTPS and localhost only.
  if (crypto.subtle === undefined) return { path };
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return { path, sha256: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") };
}

/** The picture as it is, if the server takes it: redrawing changes colours. */
async function prepareImage(
  bytes: Uint8Array<ArrayBuffer>,
  type: string,
  limits: ImageLimits,
): Promise<Blob> {
  const format = serverFormat(bytes);
  const blob = new Blob([bytes], { type: format ?? type });
  const opened = await open(blob);
  try {
    const { width, height } = opened;
    if (format !== null && bytes.length <= limits.bytes && width * height <= limits.pixels) return blob;
    return await redraw(opened, limits);
  } finally {
    opened.close();
  }
}

/** A picture that the browser can draw. */
interface Opened {
  source: CanvasImageSource;
  width: number;
  height: number;
  close(): void;
}

async function open(blob: Blob): Promise<Opened> {
  try {
    const source = await createImageBitmap(blob);
    return { source, width: source.width, height: source.height, close: () => source.close() };
  } catch {
    return openElement(blob);
  }
}

/** Some formats, such as SVG, open only in an image element. */
async function openElement(blob: Blob): Promise<Opened> {
  const url = URL.createObjectURL(blob);
  const close = (): void => URL.revokeObjectURL(url);
  try {
    const source = new Image();
    source.src = url;
    await source.decode();
    const { naturalWidth: width, naturalHeight: height } = source;
    if (width > 0 && height > 0) return { source, width, height, close };
  } catch {
    // The browser gives no reason.
  }
  close();
  throw new UnusablePicture(
    "This browser cannot open that file as a picture. PNG, JPEG and WebP always work.",
  );
}

async function redraw(opened: Opened, limits: ImageLimits): Promise<Blob> {
  const [width, height] = sizeWithin(opened.width, opened.height, limits.pixels, LONGEST_SIDE);
  if (width * height <= MAX_PNG_PIXELS) {
    const blob = await toBlob(draw(opened.source, width, height), "image/png");
    if (blob !== null && blob.size <= limits.bytes) return blob;
  }
  return toJpeg(opened.source, width, height, limits.bytes);
}

/** JPEG in falling quality, then in falling size, until it fits. */
async function toJpeg(
  source: CanvasImageSource,
  width: number,
  height: number,
  maxBytes: number,
): Promise<Blob> {
  const canvas = draw(source, width, height);
  for (const quality of QUALITIES) {
    const blob = await toBlob(canvas, "image/jpeg", quality);
    if (blob !== null && blob.size <= maxBytes) return blob;
  }
  if (width < 2 || height < 2) throw new UnusablePicture("That picture cannot be made small enough.");
  return toJpeg(source, Math.floor(width / 2), Math.floor(height / 2), maxBytes);
}

/** A canvas is sRGB: colours of other profiles are converted. */
function draw(source: CanvasImageSource, width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (context === null) throw new UnusablePicture("This browser cannot scale pictures.");
  context.fillStyle = "white"; // behind what is transparent, as on the server; a JPEG would make it black
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return canvas;
}

function toBlob(canvas: HTMLCanvasElement, type: string, quality?: number): Promise<Blob | null> {
  return new Promise((resolve) => canvas.toBlob(resolve, type, quality));
}
