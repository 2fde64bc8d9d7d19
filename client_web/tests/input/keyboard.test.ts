import { beforeEach, expect, it } from "vitest";
import { Controls } from "../../src/input/controls";
import { bindKeyboard } from "../../src/input/keyboard";

let page: EventTarget;
let tab: EventTarget & { hidden: boolean };
let controls: Controls;
let commands: string[];
let sentAt: number[];
let isSteering: boolean;
let understood: Set<string>;

beforeEach(() => {
  page = new EventTarget();
  tab = Object.assign(new EventTarget(), { hidden: false });
  sentAt = [];
  controls = new Controls(
    ({ t }) => sentAt.push(t),
    () => 0,
  );
  commands = [];
  isSteering = true;
  understood = new Set(["KeyR"]);
  bindKeyboard({
    window: page,
    document: tab,
    controls,
    isSteering: () => isSteering,
    command: (code) => {
      commands.push(code);
      return understood.has(code);
    },
  });
});

function key(type: "keydown" | "keyup", code: string, extra: object = {}): Event {
  const event = new Event(type, { cancelable: true });
  const fields = { code, repeat: false, ctrlKey: false, metaKey: false, altKey: false, ...extra };
  for (const [name, value] of Object.entries(fields)) Object.defineProperty(event, name, { value });
  page.dispatchEvent(event);
  return event;
}

it("steers by the key's place, not by its letter", () => {
  key("keydown", "KeyW", { key: "z" });
  expect(controls.pressed).toEqual(["w"]);
});

it("counts from the press, not from when the page hears of it", () => {
  key("keydown", "KeyW", { timeStamp: 40 });
  key("keyup", "KeyW", { timeStamp: 55 });
  expect(sentAt).toEqual([40, 55]);
});

it("holds letters and arrows together", () => {
  for (const code of ["KeyW", "KeyD", "ArrowLeft", "ArrowUp"]) key("keydown", code);
  expect(controls.pressed).toEqual(["w", "d", "up", "left"]);
});

it("keeps the page from scrolling on a key of ours only", () => {
  expect(key("keydown", "ArrowDown").defaultPrevented).toBe(true);
  expect(key("keydown", "Tab").defaultPrevented).toBe(false);
});

it("counts auto-repeat once but still keeps it from scrolling", () => {
  key("keydown", "KeyW");
  expect(key("keydown", "KeyW", { repeat: true }).defaultPrevented).toBe(true);
  expect(controls.lastSeq).toBe(1);
});

it("leaves shortcuts to the browser", () => {
  key("keydown", "KeyS", { ctrlKey: true });
  key("keydown", "KeyR", { metaKey: true });
  expect(controls.pressed).toEqual([]);
  expect(commands).toEqual([]);
});

it.each(["INPUT", "TEXTAREA", "SELECT"])("does not steer while typing in %s", (tagName) => {
  key("keydown", "KeyW", { target: { tagName } });
  expect(controls.pressed).toEqual([]);
});

it("lets Escape out of a text field", () => {
  key("keydown", "Escape", { target: { tagName: "INPUT" } });
  expect(commands).toEqual(["Escape"]);
});

it("lets go of all keys when the window loses the keyboard", () => {
  key("keydown", "KeyW");
  page.dispatchEvent(new Event("blur"));
  expect(controls.pressed).toEqual([]);
});

it("lets go of all keys when the tab is hidden", () => {
  key("keydown", "KeyW");
  tab.hidden = true;
  tab.dispatchEvent(new Event("visibilitychange"));
  expect(controls.pressed).toEqual([]);
});

it("lets go of all keys after Command, which swallows key-ups", () => {
  key("keydown", "KeyW");
  key("keyup", "MetaLeft");
  expect(controls.pressed).toEqual([]);
});

it("does not steer behind the panel", () => {
  isSteering = false;
  expect(key("keydown", "ArrowLeft").defaultPrevented).toBe(false);
  expect(controls.pressed).toEqual([]);
});

it("counts the key that began the walk", () => {
  isSteering = false;
  understood.add("KeyW");
  page.addEventListener("keydown", () => undefined);
  const begin = understood.has.bind(understood);
  understood.has = (code) => {
    isSteering = begin(code);
    return isSteering;
  };
  key("keydown", "KeyW");
  expect(controls.pressed).toEqual(["w"]);
});

it("passes other keys on as commands, without their repeats", () => {
  key("keydown", "KeyR");
  key("keydown", "KeyR", { repeat: true });
  expect(commands).toEqual(["KeyR"]);
});

it.each([
  ["Dvorak", "KeyR", "p", "KeyP"],
  ["Dvorak, in the menu", "Comma", "w", "KeyW"],
  ["Russian", "KeyP", "з", "KeyP"],
  ["with Shift", "KeyP", "P", "KeyP"],
  ["AZERTY", "Digit1", "&", "Digit1"],
])("commands by the key's letter where it has a Latin one: %s", (_layout, code, letter, expected) => {
  key("keydown", code, { key: letter });
  expect(commands).toEqual([expected]);
});

it("steers by a place whose letter is a command elsewhere", () => {
  key("keydown", "KeyS", { key: "r" }); // Colemak
  expect(controls.pressed).toEqual(["s"]);
  expect(commands).toEqual([]);
});

it.each([{ isComposing: true }, { keyCode: 229 }])("leaves %j to the input method", (extra) => {
  key("keydown", "Escape", { target: { tagName: "INPUT" }, ...extra });
  expect(commands).toEqual([]);
});

it("does not write the repeats of what was held before into a field", () => {
  const target = { tagName: "INPUT" };
  key("keydown", "KeyW");
  expect(key("keydown", "KeyW", { target, repeat: true }).defaultPrevented).toBe(true);
  expect(key("keydown", "KeyS", { target, repeat: true }).defaultPrevented).toBe(false);
  key("keyup", "KeyW", { target });
  key("keydown", "KeyW", { target });
  expect(key("keydown", "KeyW", { target, repeat: true }).defaultPrevented).toBe(false);
});

it.each([
  ["", "w", ["w"]],
  ["Unidentified", "W", ["w"]],
  ["", "ArrowUp", ["up"]],
  ["Numpad8", "ArrowUp", ["up"]],
  ["Numpad4", "ArrowLeft", ["left"]],
  ["Numpad7", "Home", []],
  ["Numpad4", "4", []],
])("steers by what is on the key where its place says nothing: %j, %s", (code, letter, expected) => {
  key("keydown", code, { key: letter });
  expect(controls.pressed).toEqual(expected);
  key("keyup", code, { key: letter });
  expect(controls.pressed).toEqual([]);
});

it("lets go though Shift or NumLock changed what is on the key meanwhile", () => {
  key("keydown", "", { key: "w" });
  key("keydown", "Numpad8", { key: "ArrowUp" });
  key("keyup", "", { key: "W" });
  key("keyup", "Numpad8", { key: "8" });
  expect(controls.pressed).toEqual([]);
});

it.each([
  ["", "r", "KeyR"],
  ["", "2", "Digit2"],
  ["", "Escape", "Escape"],
  ["Numpad2", "2", "Numpad2"],
  ["Numpad1", "End", "End"],
  ["Numpad5", "Clear", "Clear"],
  ["Backspace", "Backspace", "KeyR"], // R cannot be typed on Colemak, where it steers
])("commands by what is on the key: %j, %s", (code, letter, expected) => {
  key("keydown", code, { key: letter });
  expect(commands).toEqual([expected]);
});

it("lets Escape out of a text field though it has no code", () => {
  key("keydown", "", { key: "Escape", target: { tagName: "INPUT" } });
  expect(commands).toEqual(["Escape"]);
});
