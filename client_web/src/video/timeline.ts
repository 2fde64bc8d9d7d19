/** Where each fragment belongs on the video element's clock, and which frame is on screen at a given time. */
import type { Media } from "../net/protocol";

/** How a fragment came. */
interface Arrival {
  /** Page clock. */
  arrivedAt: number;
  /** How long what was buffered before it will be played. */
  queuedMs: number;
  /** It arrived in an underrun. */
  starved: boolean;
}

export interface PlacedFrame extends Arrival {
  frame: number;
  chunk: number;
  /** Media time on the element's timeline, which has no gaps. */
  elementTime: number;
  /** Server clock. */
  decodedAt: number;
  encodeMs: number;
  /** Decoding can start here. */
  key: boolean;
}

const NUM_REMEMBERED = 240;
/** Media times are rounded to ticks and microseconds. Smaller differences do not matter. */
const ROUNDING_S = 0.0005;

export class Timeline {
  /** Element time at which the next fragment belongs. */
  end = 0;
  /** What the source buffer must add to the fragment's own times. */
  offset = 0;
  private nextFrame: number | null = null;
  /** Server time up to which media came, played or not. */
  receivedTo = 0;
  private frames: PlacedFrame[] = [];

  /**
   * Place a fragment right after the last one, whatever its own time is: a gap would stop playback.
   * Null when it cannot be decoded: after a lost fragment the decoder needs a key frame. What cannot be decoded
   * counts as played, so that the server sends what follows.
   */
  place(media: Media, arrival: Arrival): PlacedFrame | null {
    this.miss(media);
    if (media.frame !== this.nextFrame && !media.key) {
      this.nextFrame = null;
      this.offset = this.end - this.receivedTo;
      return null;
    }
    if (Math.abs(media.time + this.offset - this.end) > ROUNDING_S) this.offset = this.end - media.time;
    const elementTime = media.time + this.offset;
    const { frame, chunk, key, decoded_at: decodedAt, encode: encodeMs } = media;
    const placed = { ...arrival, frame, chunk, elementTime, decodedAt, encodeMs, key };
    this.nextFrame = frame + 1;
    this.end = elementTime + media.duration;
    this.frames.push(placed);
    if (this.frames.length > NUM_REMEMBERED) this.frames.shift();
    return placed;
  }

  /** A fragment arrived while nothing can play it. */
  miss(media: Media): void {
    this.receivedTo = media.time + media.duration;
  }

  /** The frame whose picture starts at this element time; the newest one not after it. */
  frameAt(elementTime: number): PlacedFrame | undefined {
    return this.frames.findLast((placed) => placed.elementTime <= elementTime + ROUNDING_S);
  }

  /** Element time of the newest key frame; only of those not after `before`, if it is given. */
  newestKey(before = Infinity): number | null {
    return this.frames.findLast((placed) => placed.key && placed.elementTime <= before)?.elementTime ?? null;
  }

  /** Number of the newest key frame; null if there is none. */
  get newestKeyFrame(): number | null {
    return this.frames.findLast((placed) => placed.key)?.frame ?? null;
  }

  toServer(elementTime: number): number {
    return Math.max(0, elementTime - this.offset);
  }

  /** The server counts from zero again. Its first fragment belongs after what is already there. */
  newSession(): void {
    this.nextFrame = null;
    this.offset = this.end;
    this.receivedTo = 0;
  }

  /** The server's timeline goes on from this time, of which nothing was received on this page. */
  continueFrom(seconds: number): void {
    this.receivedTo = seconds;
    this.restart();
  }

  /** The source buffer is a new, empty one. What came before counts as played: the server must send more. */
  restart(): void {
    this.end = 0;
    this.offset = -this.receivedTo;
    this.nextFrame = null;
    this.frames = [];
  }
}
