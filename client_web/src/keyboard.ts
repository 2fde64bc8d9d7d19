/** Physical keys to controls and commands: by position (`event.code`), so that every layout works. */
import type { Controls } from "./controls";
import type { Key } from "./protocol";

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

export interface KeyboardOptions {
  window: EventTarget;
  document: EventTarget & { readonly hidden: boolean };
  controls: Controls;
  /** False while the start panel has the keyboard. */
  isSteering(): boolean;
  /** A key that does not steer; true when it was understood. */
  command(code: string): boolean;
}

/** Keys meant for a text field must not move the visitor. */
function isTyping(target: EventTarget | null): boolean {
  const element = target as Partial<HTMLElement> | null;
  const tag = element?.tagName?.toLowerCase() ?? "";
  return ["input", "textarea", "select"].includes(tag) || element?.isContentEditable === true;
}

export function bindKeyboard(options: KeyboardOptions): void {
  const { controls } = options;
  const down = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target) && event.code !== "Escape") return;
    if (pressed(event, options)) event.preventDefault();
  };
  const up = (event: KeyboardEvent): void => {
    // macOS swallows the key-ups of everything that was held together with Command.
    if (event.code.startsWith("Meta")) return controls.releaseAll();
    controls.release(event.code);
  };
  options.window.addEventListener("keydown", (event) => down(event as KeyboardEvent));
  options.window.addEventListener("keyup", (event) => up(event as KeyboardEvent));
  options.window.addEventListener("blur", () => controls.releaseAll());
  options.document.addEventListener("visibilitychange", () => {
    if (options.document.hidden) controls.releaseAll();
  });
}

/** True when the key was ours, so that the page does not scroll on it as well. */
function pressed(event: KeyboardEvent, options: KeyboardOptions): boolean {
  const key = STEERING[event.code];
  const steers = key !== undefined && options.isSteering();
  if (event.repeat) return steers;
  if (!steers && !options.command(event.code)) return false;
  // The command may just have begun the walk: the key that did it already counts.
  if (key !== undefined && options.isSteering()) options.controls.press(event.code, key);
  return true;
}
