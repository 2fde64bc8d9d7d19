import { beforeEach, expect, it } from "vitest";
import type { Chunk } from "../../src/net/protocol";
import { FrameRate, LatencyTracker, median, Recent } from "../../src/stats/latency";

let tracker: LatencyTracker;

beforeEach(() => {
  tracker = new LatencyTracker();
});

const chunk = (seq: number | null, firstFrame: number): Chunk =>
  ({ type: "chunk", controls_seq: seq, first_frame: firstFrame, latched_at: 0 }) as Chunk;

/** The latencies that end with this frame. */
const ended = (frame: number, shownAtMs: number): number[] =>
  tracker.frameShown(frame).map(({ sentAtMs }) => shownAtMs - sentAtMs);

it("ends with the first frame of the first chunk that includes the message", () => {
  tracker.controlsSent(1, 1_000, true);
  tracker.chunkAnnounced(chunk(null, 0));
  tracker.chunkAnnounced(chunk(1, 13));
  tracker.chunkAnnounced(chunk(1, 29));
  expect(ended(12, 1_200)).toEqual([]);
  expect(ended(13, 1_300)).toEqual([300]);
  expect(ended(29, 2_000)).toEqual([]);
});

it("ends with a later frame when the first one was skipped", () => {
  tracker.controlsSent(1, 1_000, true);
  tracker.chunkAnnounced(chunk(1, 13));
  expect(ended(15, 1_400)).toEqual([400]);
});

it("counts press and release of a tap within one chunk", () => {
  tracker.controlsSent(1, 1_000, true);
  tracker.controlsSent(2, 1_050, true);
  tracker.chunkAnnounced(chunk(2, 13));
  expect(ended(13, 1_300)).toEqual([300, 250]);
});

it("counts only the newest of the mouse's messages in a chunk", () => {
  for (let seq = 1; seq <= 20; seq++) tracker.controlsSent(seq, 1_000 + seq, false);
  tracker.chunkAnnounced(chunk(20, 13));
  expect(ended(13, 1_300)).toEqual([280]);
});

it("leaves what a chunk does not include to the next one", () => {
  tracker.controlsSent(1, 1_000, true);
  tracker.controlsSent(2, 1_100, true);
  tracker.chunkAnnounced(chunk(1, 13));
  tracker.chunkAnnounced(chunk(2, 29));
  expect(ended(13, 1_300)).toEqual([300]);
  expect(ended(29, 1_967)).toEqual([867]);
});

it("ends with the rest of a cut chunk if that is the first to include the message", () => {
  tracker.chunkAnnounced(chunk(null, 13));
  tracker.controlsSent(1, 1_000, true);
  tracker.chunkAnnounced(chunk(1, 21));
  expect(ended(20, 1_150)).toEqual([]);
  expect(ended(21, 1_200)).toEqual([200]);
});

it("knows when the server received and read what ended", () => {
  tracker.controlsSent(1, 1_000, true);
  tracker.controlsSent(2, 1_050, true);
  tracker.controlsReceived(2, 7_060);
  tracker.controlsReceived(9, 7_090);
  tracker.chunkAnnounced({ ...chunk(2, 13), latched_at: 7_100 });
  expect(tracker.frameShown(13)).toEqual([
    { sentAtMs: 1_000, receivedAt: null, latchedAt: 7_100 },
    { sentAtMs: 1_050, receivedAt: 7_060, latchedAt: 7_100 },
  ]);
});

it("measures nothing across sessions", () => {
  tracker.controlsSent(1, 1_000, true);
  tracker.chunkAnnounced(chunk(1, 13));
  tracker.clear();
  expect(ended(13, 1_300)).toEqual([]);
});

it("takes the middle as the median", () => {
  expect(median([])).toBeUndefined();
  expect(median([5, 1, 9])).toBe(5);
});

it("keeps the newest values only", () => {
  const recent = new Recent(2);
  for (const value of [1, 2, 3]) recent.push(value);
  expect(recent.values).toEqual([2, 3]);
});

it("counts frames per second and falls to zero when the picture stands still", () => {
  const rate = new FrameRate();
  for (let frame = 0; frame < 60; frame++) rate.frameShown((frame * 1_000) / 24);
  expect(rate.perSecond((59 * 1_000) / 24)).toBeCloseTo(24, 5);
  expect(rate.perSecond(10_000)).toBe(0);
});
