import { expect, it } from "vitest";
import {
  countInWords,
  othersInWords,
  overInWords,
  waitingInWords,
  walkerInWords,
} from "../../src/ui/watch_words";

const watchers = (count: number, walker = "walking") => ({ type: "watchers" as const, count, walker });

it("tells the walker how many watch", () => {
  expect([0, 1, 2].map(countInWords)).toEqual(["", "1 watching", "2 watching"]);
});

it("tells a watcher how many others watch", () => {
  expect([1, 2, 3].map((count) => othersInWords(watchers(count)))).toEqual([
    "Watching",
    "Watching, 1 other",
    "Watching, 2 others",
  ]);
});

it("says why the picture stands still", () => {
  expect(walkerInWords(watchers(1, "paused"))).toBe("The walk is paused.");
  expect(walkerInWords(watchers(1, "away"))).toBe("The walker is away, and may come back.");
  expect(walkerInWords(watchers(1, "walking"))).toBeNull();
  expect(walkerInWords(watchers(1, "a state of a later server"))).toBeNull();
});

it("says why there is nothing to watch", () => {
  expect(overInWords({ code: "bye", message: "the walk has ended" })).toBe("The walk has ended.");
  expect(overInWords({ code: "not_found", message: "" })).toBe("This link shows no walk, or no longer.");
  expect(overInWords({ code: "unauthorized", message: "" })).toContain("&token=");
  expect(waitingInWords({ code: "busy", message: "" })).toBe("Many watch already. Trying again in a moment.");
  expect(waitingInWords(null)).toBe("Cannot reach the server. Trying again in a moment.");
});
