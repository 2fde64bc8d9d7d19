import { expect, it } from "vitest";
import { paceInWords, speedFor } from "../../src/video/pace";

it("plays at its own speed what is made in time, and where the server does not say", () => {
  for (const times of [undefined, 1, 2.7]) {
    expect(speedFor(times)).toBe(1);
    expect(paceInWords(times)).toBe("");
  }
});

it("plays in slow motion what is made too slowly, a little slower than it comes", () => {
  expect(speedFor(0.4)).toBeCloseTo(0.38);
  expect(paceInWords(0.4)).toBe("0.4x real time");
});

it("says at least what is true to two digits, and never that it is real time", () => {
  expect(paceInWords(0.1492)).toBe("0.15x real time");
  expect(paceInWords(0.9991)).toBe("0.99x real time");
});

it("does not play so slowly that the picture seems to stand still", () => {
  expect(speedFor(0.01)).toBe(0.125);
});
