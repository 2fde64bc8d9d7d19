import { beforeEach, expect, it } from "vitest";
import type { Media } from "../../src/net/protocol";
import { Timeline } from "../../src/video/timeline";

const FRAME_S = 1 / 24;
let timeline: Timeline;

beforeEach(() => {
  timeline = new Timeline();
});

function media(frame: number, key = false): Media {
  const times = { time: frame * FRAME_S, duration: FRAME_S, decoded_at: 0, decode: 0, encode: 0 };
  return { type: "media", chunk: 0, frame, key, data: new Uint8Array(), ...times };
}

const place = (frame: number, key = false): number | undefined =>
  timeline.place(media(frame, key), { arrivedAt: 0, queuedMs: 0, starved: false })?.elementTime;

it("keeps the server's times when they have no gap", () => {
  expect(place(0, true)).toBe(0);
  expect(place(1)).toBeCloseTo(FRAME_S);
  expect(timeline.offset).toBe(0);
  expect(timeline.end).toBeCloseTo(2 * FRAME_S);
});

it("waits for a key frame at the beginning and after a lost fragment", () => {
  expect(place(3)).toBeUndefined();
  expect(place(4, true)).toBe(0);
  expect(place(6)).toBeUndefined();
  expect(place(7)).toBeUndefined();
  expect(place(8, true)).toBeCloseTo(FRAME_S);
});

it("closes the gap that lost fragments would leave", () => {
  place(0, true);
  expect(place(16, true)).toBeCloseTo(FRAME_S);
  expect(place(17)).toBeCloseTo(2 * FRAME_S);
  expect(timeline.offset).toBeCloseTo(-15 * FRAME_S);
});

it("puts another session behind the last one", () => {
  place(0, true);
  place(1);
  timeline.newSession();
  expect(timeline.toServer(FRAME_S)).toBe(0);
  expect(place(0, true)).toBeCloseTo(2 * FRAME_S);
  expect(timeline.toServer(2.5 * FRAME_S)).toBeCloseTo(0.5 * FRAME_S);
});

it("finds the frame on screen in spite of rounding", () => {
  for (let frame = 0; frame < 5; frame++) place(frame, frame === 0);
  expect(timeline.frameAt(0.083333)?.frame).toBe(2);
  expect(timeline.frameAt(0.1)?.frame).toBe(2);
});

it("remembers a bounded number of frames", () => {
  for (let frame = 0; frame < 1_000; frame++) place(frame, frame === 0);
  expect(timeline.frameAt(1)).toBeUndefined();
  expect(timeline.frameAt(999 * FRAME_S)?.frame).toBe(999);
});

it("starts again with an empty source buffer", () => {
  place(0, true);
  timeline.restart();
  expect(place(1)).toBeUndefined();
  expect(place(16, true)).toBe(0);
});

it("knows the number of the newest key frame that it has", () => {
  expect(timeline.newestKeyFrame).toBeNull();
  for (const [frame, key] of [
    [8, true],
    [9, false],
    [16, true],
    [17, false],
  ] as const)
    place(frame, key);
  expect(timeline.newestKeyFrame).toBe(16);
});
