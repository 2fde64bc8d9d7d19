/** Which key presses a frame is the first to show, and how fast frames get there. */
import type { Chunk } from "../net/protocol";

const NUM_PENDING = 256;

/** A list that forgets its oldest items. */
export class Recent<T = number> {
  private items: T[] = [];

  constructor(private readonly capacity: number) {}

  push(value: T): void {
    this.items.push(value);
    if (this.items.length > this.capacity) this.items.shift();
  }

  get values(): readonly T[] {
    return this.items;
  }
}

export function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

interface Sent {
  seq: number;
  atMs: number;
  keysChanged: boolean;
  /** Server clock; null until the server says so. */
  receivedAt: number | null;
}

/** A change of the controls that is on screen. */
export interface Ended {
  sentAtMs: number;
  /** Server clock at which it arrived; null if the server does not say. */
  receivedAt: number | null;
  /** Server clock at which it was read. */
  latchedAt: number;
}

interface Announced {
  firstFrame: number;
  changes: Ended[];
}

/**
 * Input latency: from sending a `controls` message to the first frame on screen of the first chunk that
 * includes it. Every change of keys counts; of the mouse's many messages only the newest in each chunk.
 */
export class LatencyTracker {
  private sent: Sent[] = [];
  private announced: Announced[] = [];

  controlsSent(seq: number, atMs: number, keysChanged: boolean): void {
    this.sent.push({ seq, atMs, keysChanged, receivedAt: null });
    if (this.sent.length > NUM_PENDING) this.sent.shift();
  }

  controlsReceived(seq: number, receivedAt: number): void {
    const sent = this.sent.find((each) => each.seq === seq);
    if (sent !== undefined) sent.receivedAt = receivedAt;
  }

  chunkAnnounced({ controls_seq: seq, first_frame: firstFrame, latched_at: latchedAt }: Chunk): void {
    if (seq === null) return;
    const included = this.sent.filter((sent) => sent.seq <= seq);
    if (included.length === 0) return;
    this.sent = this.sent.filter((sent) => sent.seq > seq);
    const counted = included.filter((sent) => sent.keysChanged || sent === included.at(-1));
    const changes = counted.map(({ atMs: sentAtMs, receivedAt }) => ({ sentAtMs, receivedAt, latchedAt }));
    this.announced.push({ firstFrame, changes });
  }

  /** The changes that this frame is the first to show. */
  frameShown(frame: number): Ended[] {
    const ended = this.announced.filter((chunk) => chunk.firstFrame <= frame);
    this.announced = this.announced.filter((chunk) => chunk.firstFrame > frame);
    return ended.flatMap((chunk) => chunk.changes);
  }

  /** Another session numbers its frames from 0 again. */
  clear(): void {
    this.sent = [];
    this.announced = [];
  }
}

const FPS_WINDOW_MS = 2_000;

export class FrameRate {
  private shownAt: number[] = [];

  frameShown(atMs: number): void {
    this.shownAt.push(atMs);
    this.shownAt = this.shownAt.filter((earlier) => atMs - earlier <= FPS_WINDOW_MS);
  }

  /** Frames per second over the last two seconds; 0 when the picture has stood still for so long. */
  perSecond(nowMs: number): number {
    const recent = this.shownAt.filter((earlier) => nowMs - earlier <= FPS_WINDOW_MS);
    const first = recent[0];
    return first === undefined || recent.length < 2 ? 0 : ((recent.length - 1) * 1_000) / (nowMs - first);
  }
}
