import { expect, it } from "vitest";
import { keyLabel } from "../../src/input/key_labels";

const LAYOUT = new Map([
  ["KeyW", "z"],
  ["KeyA", "ф"],
  ["KeyS", ""],
]);

it.each([
  ["KeyW", "Z"],
  ["KeyA", "Ф"],
  ["KeyS", null],
  ["KeyD", null],
])("reads what is on %s off the layout: %s", (code, label) => {
  expect(keyLabel(LAYOUT, code)).toBe(label);
});
