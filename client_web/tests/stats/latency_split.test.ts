import { expect, it } from "vitest";
import { ServerClock } from "../../src/net/clock";
import { median } from "../../src/stats/latency";
import { medianSplit, PARTS, splitLatency, totalMs, wholeMs } from "../../src/stats/latency_split";
import type { ShownFrame } from "../../src/video/player";
import { seeded } from "../video/arrivals";

/** The server's clock is 4000 ms ahead of the page's. */
function knownClock(): ServerClock {
  const clock = new ServerClock();
  clock.pong(1_000, 5_004, 1_008);
  return clock;
}

const FRAME = { decodedAt: 5_300, encodeMs: 2, arrivedAt: 1_310, queuedMs: 50, shownAt: 1_375 } as ShownFrame;
const ENDED = { sentAtMs: 1_000, receivedAt: 5_006, latchedAt: 5_200 };

it("tells where the time of a press went, without a rest", () => {
  const split = splitLatency(ENDED, FRAME, knownClock());
  expect(split).toEqual({ wait: 194, compute: 102, wire: 6 + 8, buffer: 50, display: 15 });
  expect(PARTS.reduce((sum, part) => sum + (split?.[part] ?? 0), 0)).toBe(375);
});

it("takes half of a round trip for the way there if the server does not say when a message came", () => {
  const split = splitLatency({ ...ENDED, receivedAt: null }, FRAME, knownClock());
  expect(split).toMatchObject({ wait: 196, wire: 4 + 8 });
});

it("counts no more as buffer than the frame waited", () => {
  const split = splitLatency(ENDED, { ...FRAME, queuedMs: 90 }, knownClock());
  expect(split).toMatchObject({ buffer: 65, display: 0 });
});

it("says nothing before the server's clock is known", () => {
  expect(splitLatency(ENDED, FRAME, new ServerClock())).toBeNull();
});

it("takes the median of each part", () => {
  const split = { wait: 1, compute: 2, wire: 3, buffer: 4, display: 5 };
  expect(medianSplit([])).toBeNull();
  expect(medianSplit([split, { ...split, wait: 9 }, { ...split, wait: 8 }])).toEqual({ ...split, wait: 8 });
});

it("shows parts that add up to the median latency of the same presses", () => {
  const random = seeded(5);
  const any = () => ({
    wait: 300 * random(),
    compute: 200 * random(),
    wire: 20 * random() - 5,
    buffer: 80 * random(),
    display: 40 * random() - 2,
  });
  for (let count = 1; count < 60; count++) {
    const splits = Array.from({ length: count }, any);
    const split = medianSplit(splits);
    if (split === null) throw new Error("no split");
    expect(totalMs(split)).toBe(median(splits.map(totalMs)));
    const whole = wholeMs(split);
    expect(totalMs(whole)).toBe(Math.round(totalMs(split)));
    for (const part of PARTS) expect(whole[part]).toBeGreaterThanOrEqual(0);
  }
});

it("hides a part that the clocks make negative, and keeps the sum", () => {
  expect(wholeMs({ wait: 100.4, compute: 99.8, wire: -3, buffer: 0, display: 10 })).toEqual({
    wait: 99,
    compute: 98,
    wire: 0,
    buffer: 0,
    display: 10,
  });
});
