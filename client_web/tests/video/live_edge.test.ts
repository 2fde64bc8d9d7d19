import { beforeEach, expect, it } from "vitest";
import { type EdgeDecision, LiveEdge } from "../../src/video/live_edge";

const CHUNK_MS = 667;
let edge: LiveEdge;
let nowMs: number;

beforeEach(() => {
  edge = new LiveEdge();
  nowMs = 0;
});

/** Bursts of 16 fragments: the buffer holds `troughS` when one begins and grows by a frame with each fragment. */
function bursts(count: number, troughS: (burst: number) => number): EdgeDecision {
  for (let burst = 0; burst < count; burst++) {
    for (let frame = 0; frame < 16; frame++) edge.arrived(nowMs + frame, troughS(burst) + frame / 24);
    nowMs += CHUNK_MS;
  }
  return edge.decide(nowMs);
}

it("plays at normal speed though a whole chunk is buffered", () => {
  expect(bursts(12, () => 0.06)).toEqual({ rate: 1, skipS: 0 });
});

it("waits for a whole window before it judges", () => {
  expect(bursts(3, () => 0.3).rate).toBe(1);
});

it("hurries a little for a little standing buffer", () => {
  expect(bursts(6, () => 0.15)).toEqual({ rate: 1.1, skipS: 0 });
});

it("hurries more for more", () => {
  expect(bursts(6, () => 0.3)).toEqual({ rate: 1.25, skipS: 0 });
});

it("hurries first and then skips what would take too long to catch up", () => {
  expect(bursts(6, () => 0.75)).toEqual({ rate: 1.25, skipS: 0 });
  const { rate, skipS } = bursts(3, () => 0.75);
  expect(rate).toBe(1);
  expect(skipS).toBeCloseTo(0.7);
});

it("leaves a buffer alone that is used up now and then", () => {
  expect(bursts(12, (burst) => (burst % 3 === 0 ? 0.04 : 0.4)).rate).toBe(1);
});

it("stops hurrying as soon as one burst comes closer", () => {
  bursts(6, () => 0.15);
  expect(bursts(1, () => 0.08).rate).toBe(1);
});

it("accepts the buffer that a server keeps up all the same", () => {
  let decision = bursts(6, () => 0.3);
  expect(decision.rate).toBe(1.25);
  for (let burst = 0; burst < 6; burst++) decision = bursts(1, () => 0.3);
  expect(decision.rate).toBe(1);
});

it("does not skip again and again for a server that wants a long buffer", () => {
  let numSkips = 0;
  for (let burst = 0; burst < 40; burst++) {
    if (bursts(1, () => 0.8).skipS === 0) continue;
    numSkips += 1;
    edge.forget();
  }
  expect(numSkips).toBe(1);
});

it("tries again after a while", () => {
  for (let burst = 0; burst < 12; burst++) bursts(1, () => 0.3);
  const rates = Array.from({ length: 200 }, () => bursts(1, () => 0.3).rate);
  expect(rates).toContain(1.25);
});

it("forgets the past when told to", () => {
  bursts(6, () => 0.3);
  edge.forget();
  expect(edge.decide(nowMs).rate).toBe(1);
});

it("skips a held-up buffer when the page comes back into sight", () => {
  expect(edge.skipOnReturn(1.3)).toBeCloseTo(1.25);
  expect(edge.skipOnReturn(0.3)).toBe(0);
});
