import { expect, it } from "vitest";
import { ServerClock } from "../../src/net/clock";

it("reads the server's clock off the fastest recent round trip", () => {
  const clock = new ServerClock();
  expect(clock.toPage(5_000)).toBeNull();
  clock.pong(100, 5_150, 200);
  clock.pong(300, 5_302, 304);
  clock.pong(400, 5_500, 500);
  expect(clock.toPage(5_302)).toBe(302);
  expect(clock.roundTripMs).toBe(4);
});

it("forgets round trips of long ago", () => {
  const clock = new ServerClock();
  clock.pong(0, 1_000, 2);
  for (let ping = 0; ping < 8; ping++) clock.pong(100, 2_105, 110);
  expect(clock.roundTripMs).toBe(10);
});
