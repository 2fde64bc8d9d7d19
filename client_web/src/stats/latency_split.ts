/** Where the time from a key press to the screen goes. */
import type { ServerClock } from "../net/clock";
import type { ShownFrame } from "../video/player";
import { type Ended, median } from "./latency";

/**
 * In the order of time, but for the wire, which is the way there and back:
 * wait: from the arrival at the server to the latch; compute: to the encoded frame; buffer: behind the frames that
 * arrived before; display: until it is visible.
 */
export const PARTS = ["wait", "compute", "wire", "buffer", "display"] as const;
export type Part = (typeof PARTS)[number];
/** In ms; the sum is the latency. */
export type LatencySplit = Record<Part, number>;

/** Null until the server's clock is known. */
export function splitLatency(ended: Ended, frame: ShownFrame, clock: ServerClock): LatencySplit | null {
  const encodedAt = frame.decodedAt + frame.encodeMs;
  const sentBackAt = clock.toPage(encodedAt);
  const receivedAt = receivedOnPage(ended, clock);
  const latchedAt = clock.toPage(ended.latchedAt);
  if (sentBackAt === null || receivedAt === null || latchedAt === null) return null;
  const onScreenMs = frame.shownAt - frame.arrivedAt;
  const buffer = Math.min(frame.queuedMs, onScreenMs);
  return {
    wait: latchedAt - receivedAt,
    compute: encodedAt - ended.latchedAt,
    wire: receivedAt - ended.sentAtMs + (frame.arrivedAt - sentBackAt),
    buffer,
    display: onScreenMs - buffer,
  };
}

/** The median of each part; null without any split. */
export function medianSplit(splits: readonly LatencySplit[]): LatencySplit | null {
  if (splits.length === 0) return null;
  const medianOf = (part: Part): number => median(splits.map((split) => split[part])) ?? 0;
  return {
    wait: medianOf("wait"),
    compute: medianOf("compute"),
    wire: medianOf("wire"),
    buffer: medianOf("buffer"),
    display: medianOf("display"),
  };
}

/** Where the server does not say when a message arrived, the way there took half of a round trip. */
function receivedOnPage({ receivedAt, sentAtMs }: Ended, clock: ServerClock): number | null {
  if (receivedAt !== null) return clock.toPage(receivedAt);
  return clock.roundTripMs === null ? null : sentAtMs + clock.roundTripMs / 2;
}
