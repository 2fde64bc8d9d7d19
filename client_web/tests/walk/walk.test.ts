import { beforeEach, expect, it } from "vitest";
import { beginningOf, keptWalk, newWalk, type Walk, Walks } from "../../src/walk/walk";

let first: Walk;
let second: Walk;
let walks: Walks;

beforeEach(() => {
  walks = new Walks();
  first = newWalk({ seed: 1 }, null, null);
  second = newWalk({ seed: 2 }, null, null);
  walks.begin(first);
  walks.opened(first);
  walks.begin(second);
});

it("goes back to the walk before one that is refused", () => {
  walks.refused();
  expect(walks.current).toBe(first);
});

it("goes back to the walk before two that are refused", () => {
  walks.begin(newWalk({ seed: 3 }, null, null));
  walks.refused();
  walks.refused();
  expect(walks.current).toBe(first);
});

it.each(["opened", "lost"])("has nothing to go back to once a walk is %s", (what) => {
  if (what === "opened") walks.opened(second);
  else walks.lost();
  walks.refused();
  expect(walks.current).toBeNull();
});

it("begins again only what was open", () => {
  walks.lost();
  expect(second.isAgain).toBe(false);
  walks.opened(second);
  walks.lost();
  expect(second.isAgain).toBe(true);
});

it("names the view that stands for a picture, else the picture", () => {
  const picture = { path: "me.png" };
  const walk = newWalk({ seed: 1, image: new Uint8Array(1) }, null, picture);
  const server = { model: "m", size: [160, 96] };
  expect(beginningOf(walk, server)).toEqual({ ...server, seed: 1, image: picture });
  walk.view = "gate";
  expect(beginningOf(walk, server)).toEqual({ ...server, seed: 1, view: "gate" });
});

it("asks for a kept walk alone, whatever prompt it had", () => {
  walks.begin(keptWalk("abc"));
  walks.remember("at night");
  expect(walks.current?.request).toEqual({ snapshot: "abc" });
});
