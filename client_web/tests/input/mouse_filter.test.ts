import { expect, it } from "vitest";
import { MouseFilter, type Movement } from "../../src/input/mouse_filter";

/** How far these movements turn in all, one every `everyMs`. */
function total(moves: Movement[], everyMs = 16): Movement {
  const filter = new MouseFilter();
  const taken = moves.map((move, index) => filter.take(move, index * everyMs));
  return [taken.reduce((sum, [x]) => sum + x, 0), taken.reduce((sum, [, y]) => sum + y, 0)];
}

const right = (...xs: number[]): Movement[] => xs.map((x) => [x, 0]);

it.each([
  ["backwards", right(4, 4, -640, 4, 4), [16, 0]],
  ["forwards", right(4, 4, 640, 4, 4), [16, 0]],
  ["downwards", [...right(4, 4), [0, 500], ...right(4, 4)] as Movement[], [16, 0]],
  ["there and back", right(4, 4, -640, 640, 4), [12, 0]],
  ["first of all", right(-640, 4, 4), [8, 0]],
  ["last of all", right(4, 4, -640), [8, 0]],
  ["in a fast turn", right(50, 60, -640, 60), [170, 0]],
])("drops a jump %s", (_where, moves, expected) => {
  expect(total(moves)).toEqual(expected);
});

it.each([
  ["slow", right(1, 2, 1, 2)],
  ["growing", right(4, 15, 50, 150, 300, 200, 60, 10)],
  ["sudden", right(2, 180, 220, 150, 20)],
  ["sudden, from rest", right(150, 200, 180)],
  ["sudden, a little off", [...right(2, 2), [180, 20], [150, -30]] as Movement[]],
])("keeps a %s turn whole", (_how, moves) => {
  expect(total(moves)[0]).toBe(moves.reduce((sum, [x]) => sum + x, 0));
});

it("does not believe a jump because of one long ago", () => {
  expect(total(right(4, -640, -640), 500)).toEqual([4, 0]);
});
