/** Everything the page measures about a walk, in one place for the HUD and the diagnostics. */
import { ServerClock } from "../net/clock";
import type { Chunk, Media } from "../net/protocol";
import type { ShownFrame } from "../video/player";
import { FrameRate, LatencyTracker, Recent } from "./latency";
import { type LatencySplit, splitLatency } from "./latency_split";

const NUM_LATENCIES = 512;
const NUM_FRAMES = 2_048;

export const STAGES = ["select", "context", "denoise", "decode", "encode"] as const;
type Stage = (typeof STAGES)[number];

/** What one chunk cost, or the rest of one that was cut; decode and encode grow as its frames come in. */
export class ChunkCost {
  index: number | null = null;
  numFrames = 0;
  private ms: Record<Stage, number> = { select: 0, context: 0, denoise: 0, decode: 0, encode: 0 };

  begin(chunk: Chunk): void {
    const { select = 0, context = 0, denoise = 0 } = chunk.timings;
    this.index = chunk.index;
    this.numFrames = chunk.frames;
    this.ms = { select, context, denoise, decode: 0, encode: 0 };
  }

  add(media: Media): void {
    if (media.chunk !== this.index) return;
    this.ms.decode += media.decode;
    this.ms.encode += media.encode;
  }

  of(stage: Stage): number {
    return this.ms[stage];
  }

  get totalMs(): number {
    return STAGES.reduce((sum, stage) => sum + this.ms[stage], 0);
  }
}

export class Measurements {
  readonly clock = new ServerClock();
  readonly tracker = new LatencyTracker();
  readonly frameRate = new FrameRate();
  readonly cost = new ChunkCost();
  readonly latencies = new Recent(NUM_LATENCIES);
  readonly splits = new Recent<LatencySplit>(NUM_LATENCIES);
  readonly decodedToShown = new Recent(NUM_FRAMES);
  readonly starvedDecodedToShown = new Recent(NUM_FRAMES);
  frameOnScreen: number | null = null;

  /** The server answered a ping that was sent at `sentMs`. */
  pong(sentMs: number, serverMs: number): void {
    this.clock.pong(sentMs, serverMs, performance.now());
  }

  chunk(chunk: Chunk): void {
    this.tracker.chunkAnnounced(chunk);
    this.cost.begin(chunk);
  }

  media(media: Media): void {
    this.cost.add(media);
  }

  /** True when the frame ended a latency measurement. */
  shown(frame: ShownFrame): boolean {
    this.frameOnScreen = frame.frame;
    this.frameRate.frameShown(frame.shownAt);
    const decodedAt = this.clock.toPage(frame.decodedAt);
    if (decodedAt !== null) {
      this.decodedToShown.push(frame.shownAt - decodedAt);
      if (frame.starved) this.starvedDecodedToShown.push(frame.shownAt - decodedAt);
    }
    const changes = this.tracker.frameShown(frame.frame);
    for (const ended of changes) {
      this.latencies.push(frame.shownAt - ended.sentAtMs);
      const split = splitLatency(ended, frame, this.clock);
      if (split !== null) this.splits.push(split);
    }
    return changes.length > 0;
  }

  /** Another connection: another clock, other frame numbers. */
  reconnected(): void {
    this.clock.reset();
    this.tracker.clear();
    this.frameOnScreen = null;
  }
}
