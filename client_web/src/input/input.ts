/** Every way in which a visitor steers and commands: keyboard, key caps, pointer and buttons. */

import { dropFocusOnClick, find } from "../ui/elements";
import { bindFullScreen } from "../ui/view_modes";
import type { Controls } from "./controls";
import { labelKeys } from "./key_labels";
import { bindKeyPad } from "./key_pad";
import { bindKeyboard } from "./keyboard";
import { bindPointer, flushWithFrames } from "./pointer";

interface InputOptions {
  pad: HTMLElement;
  stage: HTMLElement;
  controls: Controls;
  isSteering(): boolean;
  /** What a key does that does not steer; true when it does something. */
  command(code: string): boolean;
  /** The visitor did something: some browsers play nothing before that, and only within it. */
  gesture(): void;
}

export function bindInput({ pad, stage, controls, isSteering, command, gesture }: InputOptions): void {
  bindKeyboard({ window, document, controls, isSteering, command });
  bindKeyPad(pad, controls, isSteering);
  const turned = flushWithFrames(controls, (frame) => requestAnimationFrame(frame));
  bindPointer({ stage, document, controls, isSteering, turned });
  for (const button of document.querySelectorAll<HTMLElement>("[data-command]")) {
    button.addEventListener("click", () => command(button.dataset.command ?? ""));
  }
  dropFocusOnClick(find("bar", HTMLElement));
  bindFullScreen(document.querySelectorAll<HTMLElement>("[data-command=KeyF]"));
  void labelKeys(document);
  for (const type of ["pointerup", "click", "keydown"]) {
    window.addEventListener(type, gesture, { capture: true });
  }
}
