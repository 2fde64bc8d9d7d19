/** Keys steer by their place (`event.code`) and command by their letter, so that every layout works. */

import type { Key } from "../net/protocol";
import type { Controls } from "./controls";

const STEERING: Readonly<Record<string, Key>> = {
  KeyW: "w",
  KeyS: "s",
  KeyA: "a",
  KeyD: "d",
  ArrowUp: "up",
  ArrowDown: "down",
  ArrowLeft: "left",
  ArrowRight: "right",
};

interface KeyboardOptions {
  window: EventTarget;
  document: EventTarget & { readonly hidden: boolean };
  controls: Controls;
  /** False while the start panel has the keyboard. */
  isSteering(): boolean;
  /** A key that does not steer; true when it was understood. */
  command(code: string): boolean;
}

type KeyName = Pick<KeyboardEvent, "code" | "key">;

/** Some keyboards and remote desktops send no `code`, only what is on the key. */
const isPlaceless = (code: string): boolean => code === "" || code === "Unidentified";

/** The key's code. If `code` does not say what the key does now, it is made from `key`. */
function placeOf({ code, key }: KeyName): string {
  // Without NumLock, or with Shift, the numeric pad has arrows instead of digits.
  const isOtherwiseUsed = /^Numpad[0-9]$/.test(code) && !/^[0-9]$/.test(key);
  if (!isPlaceless(code) && !isOtherwiseUsed) return code;
  if (/^[a-z]$/i.test(key)) return `Key${key.toUpperCase()}`;
  return /^[0-9]$/.test(key) ? `Digit${key}` : key;
}

/** Names what holds a control. The key-up gives the same name, even if Shift or NumLock changed meanwhile. */
function sourceOf({ code, key }: KeyName): string {
  return isPlaceless(code) ? `key ${key.toLowerCase()}` : code;
}

/** Reset has a second key: on Colemak, R lies on a key that steers. */
const SECOND_KEYS: Readonly<Record<string, string>> = { Backspace: "KeyR" };

/** The code of a key's command: by its letter, or by its place if that steers or has no Latin letter. */
function commandOf(event: KeyName): string {
  const place = placeOf(event);
  if (Object.hasOwn(STEERING, place)) return place;
  if (/^[a-z]$/i.test(event.key)) return `Key${event.key.toUpperCase()}`;
  return SECOND_KEYS[place] ?? place;
}

/** The key belongs to an input method. Safari reports that only by the key code 229. */
export function isComposing(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === 229;
}

/** Keys typed into a text field must not steer. */
export function isTyping(target: EventTarget | null): boolean {
  const element = target as Partial<HTMLElement> | null;
  const tag = element?.tagName?.toLowerCase() ?? "";
  return ["input", "textarea", "select"].includes(tag) || element?.isContentEditable === true;
}

export function bindKeyboard(options: KeyboardOptions): void {
  const { controls } = options;
  /** Keys that went down outside a text field. Their repeats must not be typed into a field that gets the focus. */
  const held = new Set<string>();
  const down = (event: KeyboardEvent): void => {
    if (isComposing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target) && placeOf(event) !== "Escape") {
      if (event.repeat && held.has(sourceOf(event))) event.preventDefault();
      return;
    }
    held.add(sourceOf(event));
    if (pressed(event, options)) event.preventDefault();
  };
  const letGo = (): void => {
    held.clear();
    controls.releaseAll();
  };
  const up = (event: KeyboardEvent): void => {
    // macOS swallows the key-ups of everything that was held together with Command.
    if (event.key === "Meta" || event.code.startsWith("Meta")) return letGo();
    held.delete(sourceOf(event));
    controls.release(sourceOf(event), event.timeStamp);
  };
  options.window.addEventListener("keydown", (event) => down(event as KeyboardEvent));
  options.window.addEventListener("keyup", (event) => up(event as KeyboardEvent));
  options.window.addEventListener("blur", letGo);
  options.document.addEventListener("visibilitychange", () => {
    if (options.document.hidden) letGo();
  });
}

/** True when the page used the key, so that it must not scroll as well. */
function pressed(event: KeyboardEvent, options: KeyboardOptions): boolean {
  const key = STEERING[placeOf(event)];
  const steers = key !== undefined && options.isSteering();
  if (event.repeat) return steers;
  if (!steers && !options.command(commandOf(event))) return false;
  // The command may have begun the walk. Then the key that began it already steers.
  if (key !== undefined && options.isSteering())
    options.controls.press(sourceOf(event), key, event.timeStamp);
  return true;
}
