/** Keys to controls by their place (`event.code`), and to commands by their letter, so that every layout works. */
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

/** The code of the command that a key stands for: its place where that steers or has no Latin letter. */
export function commandOf({ code, key }: Pick<KeyboardEvent, "code" | "key">): string {
  if (Object.hasOwn(STEERING, code) || !/^[a-z]$/i.test(key)) return code;
  return `Key${key.toUpperCase()}`;
}

/** The key belongs to an input method; Safari says so by its number only. */
export function isComposing(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === 229;
}

/** Keys meant for a text field must not move the visitor. */
function isTyping(target: EventTarget | null): boolean {
  const element = target as Partial<HTMLElement> | null;
  const tag = element?.tagName?.toLowerCase() ?? "";
  return ["input", "textarea", "select"].includes(tag) || element?.isContentEditable === true;
}

export function bindKeyboard(options: KeyboardOptions): void {
  const { controls } = options;
  /** Went down outside a text field: their repeats are no text for the one that got the focus meanwhile. */
  const held = new Set<string>();
  const down = (event: KeyboardEvent): void => {
    if (isComposing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target) && event.code !== "Escape") {
      if (event.repeat && held.has(event.code)) event.preventDefault();
      return;
    }
    held.add(event.code);
    if (pressed(event, options)) event.preventDefault();
  };
  const letGo = (): void => {
    held.clear();
    controls.releaseAll();
  };
  const up = (event: KeyboardEvent): void => {
    // macOS swallows the key-ups of everything that was held together with Command.
    if (event.code.startsWith("Meta")) return letGo();
    held.delete(event.code);
    controls.release(event.code);
  };
  options.window.addEventListener("keydown", (event) => down(event as KeyboardEvent));
  options.window.addEventListener("keyup", (event) => up(event as KeyboardEvent));
  options.window.addEventListener("blur", letGo);
  options.document.addEventListener("visibilitychange", () => {
    if (options.document.hidden) letGo();
  });
}

/** True when the key was ours, so that the page does not scroll on it as well. */
function pressed(event: KeyboardEvent, options: KeyboardOptions): boolean {
  const key = STEERING[event.code];
  const steers = key !== undefined && options.isSteering();
  if (event.repeat) return steers;
  if (!steers && !options.command(commandOf(event))) return false;
  // The command may just have begun the walk: the key that did it already counts.
  if (key !== undefined && options.isSteering()) options.controls.press(event.code, key);
  return true;
}
