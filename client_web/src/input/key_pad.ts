/** The key caps on screen: they light up with the keyboard and steer under fingers. */

import { KEYS, type Key } from "../net/protocol";
import type { Controls } from "./controls";

function capAt(pad: HTMLElement, event: PointerEvent): Key | undefined {
  const cap = document.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>("[data-key]");
  return cap && pad.contains(cap) ? KEYS.find((key) => key === cap.dataset.key) : undefined;
}

/** Each finger holds the cap it is on; sliding to another cap changes over without lifting. */
export function bindKeyPad(pad: HTMLElement, controls: Controls, isSteering: () => boolean): void {
  const hold = (event: PointerEvent): void => {
    const key = capAt(pad, event);
    if (key === undefined || !isSteering()) return release(event);
    controls.press(`pointer ${event.pointerId}`, key, event.timeStamp);
  };
  const release = (event: PointerEvent): void =>
    controls.release(`pointer ${event.pointerId}`, event.timeStamp);
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    event.preventDefault();
    hold(event);
  });
  pad.addEventListener("pointermove", (event) => event.buttons !== 0 && hold(event));
  pad.addEventListener("pointerup", release);
  pad.addEventListener("pointercancel", release);
  pad.addEventListener("contextmenu", (event) => event.preventDefault());
}

export function lightKeyPad(pad: HTMLElement, pressed: readonly Key[]): void {
  for (const cap of pad.querySelectorAll<HTMLElement>("[data-key]")) {
    cap.classList.toggle(
      "lit",
      pressed.some((key) => key === cap.dataset.key),
    );
  }
}
