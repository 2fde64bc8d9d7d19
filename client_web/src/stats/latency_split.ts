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

export function totalMs(split: LatencySplit): number {
  return PARTS.reduce((sum, part) => sum + split[part], 0);
}

/** That of the press with the median latency, so its parts add up to the median; null without any split. */
export function medianSplit(splits: readonly LatencySplit[]): LatencySplit | null {
  const medianMs = median(splits.map(totalMs));
  return splits.find((split) => totalMs(split) === medianMs) ?? null;
}

/**
 * In whole ms that add up to the rounded latency. The clocks of page and server differ a little, so a short part may
 * seem to be negative; the others make up for it.
 */
export function wholeMs(split: LatencySplit): LatencySplit {
  const totalWhole = Math.max(0, Math.round(totalMs(split)));
  const positiveMs = PARTS.reduce((sum, part) => sum + Math.max(0, split[part]), 0);
  const scale = positiveMs > 0 ? totalWhole / positiveMs : 0;
  const whole = { ...split };
  let endMs = 0;
  for (const part of PARTS) {
    const startMs = endMs;
    endMs += Math.max(0, split[part]) * scale;
    whole[part] = Math.round(endMs) - Math.round(startMs);
  }
  return whole;
}

/** Where the server does not say when a message arrived, the way there took half of a round trip. */
function receivedOnPage({ receivedAt, sentAtMs }: Ended, clock: ServerClock): number | null {
  if (receivedAt !== null) return clock.toPage(receivedAt);
  return clock.roundTripMs === null ? null : sentAtMs + clock.roundTripMs / 2;
}
