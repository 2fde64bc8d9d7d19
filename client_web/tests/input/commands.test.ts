import { expect, it } from "vitest";
import { actionOf } from "../../src/input/commands";

const WALK = { isPanelOpen: false, isWalking: true, hasFocus: false };
const PANEL = { isPanelOpen: true, isWalking: false, hasFocus: false };
const MENU = { isPanelOpen: true, isWalking: true, hasFocus: false };

it.each([
  ["Escape", "openPanel", null, "closePanel"],
  ["KeyW", null, "start", "closePanel"],
  ["Enter", null, "start", "start"],
  ["KeyR", "reset", null, null],
  ["KeyP", "togglePause", null, null],
  ["KeyH", "toggleBare", null, "toggleBare"],
  ["KeyJ", "saveWalk", null, "saveWalk"],
  ["KeyT", "typePrompt", null, null],
  ["KeyF", "toggleFullScreen", "toggleFullScreen", "toggleFullScreen"],
  ["KeyX", null, null, null],
])("%s means %s in a walk, %s at the start, %s in the menu", (code, ...expected) => {
  expect([WALK, PANEL, MENU].map((where) => actionOf(code, where))).toEqual(expected);
});

it("leaves Enter to what has the focus", () => {
  expect(actionOf("Enter", { ...PANEL, hasFocus: true })).toBeNull();
});
