import { beforeEach, expect, it } from "vitest";
import type { Chunk } from "../../src/net/protocol";
import { FrameRate, LatencyTracker, median, Recent } from "../../src/stats/latency";

let tracker: LatencyTracker;

beforeEach(() => {
  tracker = new LatencyTracker();
});

const chunk = (seq: number | null, firstFrame: number): Chunk =>
  ({ type: "chunk", controls_seq: seq, first_frame: firstFrame }) as Chunk;

it("ends with the first frame of the first chunk that includes the message", () => {
  tracker.controlsSent(1, 1_000, true);
  tracker.chunkAnnounced(chunk(null, 0));
  tracker.chunkAnnounced(chunk(1, 13));
  tracker.chunkAnnounced(chunk(1, 29));
  expect(tracker.frameShown(12, 1_200)).toEqual([]);
  expect(tracker.frameShown(13, 1_300)).toEqual([300]);
  expect(tracker.frameShown(29, 2_000)).toEqual([]);
});

it("ends with a later frame when the first one was skipped", () => {
  tracker.controlsSent(1, 1_000, true);
  tracker.chunkAnnounced(chunk(1, 13));
  expect(tracker.frameShown(15, 1_400)).toEqual([400]);
});

it("counts press and release of a tap within one chunk", () => {
  tracker.controlsSent(1, 1_000, true);
  tracker.controlsSent(2, 1_050, true);
  tracker.chunkAnnounced(chunk(2, 13));
  expect(tracker.frameShown(13, 1_300)).toEqual([300, 250]);
});

it("counts only the newest of the mouse's messages in a chunk", () => {
  for (let seq = 1; seq <= 20; seq++) tracker.controlsSent(seq, 1_000 + seq, false);
  tracker.chunkAnnounced(chunk(20, 13));
  expect(tracker.frameShown(13, 1_300)).toEqual([280]);
});

it("leaves what a chunk does not include to the next one", () => {
  tracker.controlsSent(1, 1_000, true);
  tracker.controlsSent(2, 1_100, true);
  tracker.chunkAnnounced(chunk(1, 13));
  tracker.chunkAnnounced(chunk(2, 29));
  expect(tracker.frameShown(13, 1_300)).toEqual([300]);
  expect(tracker.frameShown(29, 1_967)).toEqual([867]);
});

it("measures nothing across sessions", () => {
  tracker.controlsSent(1, 1_000, true);
  tracker.chunkAnnounced(chunk(1, 13));
  tracker.clear();
  expect(tracker.frameShown(13, 1_300)).toEqual([]);
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
