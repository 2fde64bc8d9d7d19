import { expect, it } from "vitest";
import { Reserve } from "../../src/video/reserve";
import { FRAME_S, followingServer, pacedServer, Screen, seeded } from "./arrivals";

const LATENT = 4;
const USUAL_MS = 20;

/** Mostly the usual delay, and up to `mostMs` more. */
function varied(mostMs: number): () => number {
  const random = seeded(3);
  return () => USUAL_MS + mostMs * random();
}

it("wants one frame where nothing varies", () => {
  const screen = new Screen(followingServer(LATENT, USUAL_MS, () => USUAL_MS)).run(30);
  expect(screen.reserve.wantedS(screen.nowMs)).toBeCloseTo(FRAME_S, 2);
  expect(screen.stalls).toEqual([]);
});

it.each([10, 60, 150])("wants what arrivals vary by, %i ms, so that nobody sees them", (mostMs) => {
  const screen = new Screen(followingServer(LATENT, USUAL_MS, varied(mostMs))).run(20).forgetStalls();
  const wanted: number[] = [];
  for (let second = 0; second < 120; second++) wanted.push(screen.run(1).reserve.wantedS(screen.nowMs));
  expect(screen.stalls.filter((ms) => ms > 20)).toEqual([]);
  expect(Math.max(...wanted)).toBeLessThan(FRAME_S + mostMs / 1_000 + 0.02);
  expect(Math.min(...wanted)).toBeGreaterThan(FRAME_S + (0.4 * mostMs) / 1_000);
});

it("wants more at once after a stall, no more than helps, and half of it 8 s later", () => {
  let delayMs = USUAL_MS;
  const screen = new Screen(followingServer(LATENT, USUAL_MS, () => delayMs)).run(20).forgetStalls();
  delayMs = 600;
  screen.run(0.2);
  delayMs = USUAL_MS;
  screen.run(0.8);
  expect(screen.stalls).toHaveLength(1);
  const after = screen.reserve.wantedS(screen.nowMs) - FRAME_S;
  expect(after).toBeGreaterThan(0.15);
  expect(after).toBeLessThan(0.2);
  const later = screen.run(8).reserve.wantedS(screen.nowMs) - FRAME_S;
  expect(later).toBeCloseTo(after / 2, 2);
  expect(screen.run(60).reserve.wantedS(screen.nowMs)).toBeCloseTo(FRAME_S, 2);
});

it.each([0.02, 0.1])("stays within bounds if the server keeps %f s whatever it wants", (keepS) => {
  const screen = new Screen(pacedServer(LATENT, keepS, () => 5)).run(120);
  expect(screen.reserve.wantedS(screen.nowMs)).toBeLessThanOrEqual(FRAME_S + 0.4);
});

it("takes no pause for lateness", () => {
  const reserve = new Reserve();
  reserve.arrived(0, 0, FRAME_S);
  reserve.forget();
  reserve.arrived(60_000, 0, FRAME_S);
  expect(reserve.wantedS(60_000)).toBe(FRAME_S);
});

it.each([1, 0.475, 0.125])(
  "wants hardly more than a frame of a steady video at %f times the speed",
  (speed) => {
    const reserve = new Reserve();
    let endS = 0;
    let shownS = 0;
    for (let atMs = 0, nextMs = 0; atMs < 60_000; atMs++) {
      if (atMs >= nextMs) {
        for (let frame = 0; frame < LATENT; frame++, endS += FRAME_S)
          reserve.arrived(atMs, Math.max(0, endS - shownS), FRAME_S, speed);
        nextMs += (LATENT * FRAME_S * 1_000) / speed;
      }
      if (atMs > 300) shownS = Math.min(endS, shownS + speed / 1_000);
    }
    expect(reserve.wantedS(60_000)).toBeLessThan(2 * FRAME_S);
  },
);
