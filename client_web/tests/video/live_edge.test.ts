import { expect, it } from "vitest";
import { FRAME_S, pacedServer, Screen, type Server, seeded, steadyStream } from "./arrivals";

const FRAME_MS = 1_000 * FRAME_S;
const CHUNK = 16;
const LATENT = 4;

/** Delays of up to `mostMs`. */
function jitter(mostMs: number, seed = 1): () => number {
  const random = seeded(seed);
  return () => mostMs * random();
}

/** A line on which a latent now and then takes long, and holds up all that is behind. */
function spikes(everyMs: number, spikeMs: number): () => number {
  const random = seeded(7);
  return () => (random() < (LATENT * FRAME_MS) / everyMs ? spikeMs : 5 * random());
}

/** So many seconds come at once when the stream begins: the page has more buffered than it needs. */
function withExcess(server: Server, seconds: number): Screen {
  const count = Math.round(seconds / FRAME_S);
  return new Screen({
    send: (sight) => (sight.nowMs === 0 ? { count, delayMs: 0 } : server.send(sight)),
  });
}

const BURSTS = [1, LATENT, CHUNK];

it.each(BURSTS)("never lets a steady stream stall that comes %i frames at a time", (burst) => {
  const screen = new Screen(steadyStream(burst, jitter(30))).run(20).forgetStalls();
  expect(screen.run(180).stalls).toEqual([]);
  expect(screen.numSkips).toBe(0);
});

it.each(BURSTS)("plays off an excess down to about a frame, %i frames at a time", (burst) => {
  const screen = withExcess(
    steadyStream(burst, () => 5),
    0.3,
  ).run(40);
  expect(screen.lowest(5)).toBeLessThan(FRAME_S + 0.05);
  expect(screen.lowest(60)).toBeGreaterThan(0);
  expect(screen.stalls).toEqual([]);
});

it("hurries so little that nobody sees it", () => {
  const screen = withExcess(steadyStream(LATENT, jitter(20)), 0.3).run(40);
  expect([...screen.rates].sort()).toEqual([1, 1.05]);
});

it("keeps more where arrivals vary more", () => {
  const [calm, rough] = [10, 150].map((most) => {
    const screen = withExcess(steadyStream(1, jitter(most)), 0.35).run(60);
    expect(screen.stalls).toEqual([]);
    return screen.edge.wantedS(screen.nowMs);
  });
  expect(calm).toBeLessThan(FRAME_S + 0.02);
  expect(rough).toBeGreaterThan(calm ?? 0);
});

it("wants more at once after a stall, and less again slowly", () => {
  let delayMs = 5;
  const screen = new Screen(steadyStream(1, () => delayMs)).run(20).forgetStalls();
  const before = screen.edge.wantedS(screen.nowMs);
  expect(before).toBeCloseTo(FRAME_S, 2);
  delayMs = 305;
  screen.run(0.5);
  delayMs = 5;
  screen.run(0.5);
  expect(screen.stalls).toHaveLength(1);
  const after = screen.edge.wantedS(screen.nowMs);
  expect(after).toBeGreaterThan(before + 0.25);
  expect(screen.run(20).edge.wantedS(screen.nowMs)).toBeCloseTo(before + (after - before) / 2, 1);
  expect(screen.run(180).edge.wantedS(screen.nowMs)).toBeCloseTo(before, 2);
});

it("learns from spikes, as of wifi, so that most of them are not seen", () => {
  const screen = new Screen(steadyStream(LATENT, spikes(8_000, 150))).run(60).forgetStalls();
  screen.run(240);
  expect(screen.stalls.filter((ms) => ms > 80)).toEqual([]);
});

it.each(BURSTS)("leaves alone what a server keeps that paces itself, %i frames at a time", (burst) => {
  const screen = new Screen(pacedServer(burst, 0.05, jitter(10))).run(5).forgetStalls();
  expect(screen.run(120).stalls).toEqual([]);
  expect([...screen.rates]).toEqual([1]);
});

it("accepts the long buffer that a server keeps up all the same", () => {
  const screen = new Screen(pacedServer(CHUNK, 0.3, jitter(10))).run(20);
  expect([...screen.rates].sort()).toEqual([1, 1.05]);
  screen.rates.clear();
  expect([...screen.run(60).rates]).toEqual([1]);
  expect([...screen.run(90).rates].sort()).toEqual([1, 1.05]); // tries again after a while
});

it("skips a very long buffer once, and not again for a server that wants it", () => {
  const screen = new Screen(pacedServer(CHUNK, 0.8, jitter(10))).run(100);
  expect(screen.numSkips).toBe(1);
  expect(screen.stalls).toEqual([]);
});

it("catches up at once when the page comes back into sight", () => {
  const screen = new Screen(steadyStream(LATENT, () => 5)).run(20).hide(3);
  expect(screen.numSkips).toBe(1);
  screen.forgetStalls().run(60);
  expect(screen.stalls).toEqual([]);
  expect(screen.lowest(3)).toBeLessThan(FRAME_S + 0.05);
});

it("takes no pause for lateness", () => {
  const screen = new Screen(steadyStream(1, () => 5)).run(20);
  screen.edge.forget();
  screen.nowMs += 60_000;
  screen.edge.arrived(screen.nowMs, 0, FRAME_S);
  expect(screen.edge.wantedS(screen.nowMs)).toBeCloseTo(FRAME_S, 2);
});
