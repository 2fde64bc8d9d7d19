/** Looking around: the mouse once the stage has caught it, or a drag of a finger or of the mouse. */
import type { Controls } from "./controls";

const MOUSE_RAD_PER_PX = 0.0024;
const DRAG_RAD_PER_PX = 0.005;
/** The server counts messages; twice the usual display rate would gain nothing. */
const FLUSH_EVERY_MS = 15;

export function isLocked(stage: HTMLElement): boolean {
  return document.pointerLockElement === stage;
}

export function bindPointer(stage: HTMLElement, controls: Controls, isSteering: () => boolean): void {
  const turn = (event: MouseEvent, radPerPx: number): void =>
    controls.turn(event.movementX * radPerPx, -event.movementY * radPerPx);
  stage.addEventListener("click", (event) => {
    if (isSteering() && (event as PointerEvent).pointerType === "mouse") catchMouse(stage);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!isSteering()) return;
    if (isLocked(stage)) turn(event, MOUSE_RAD_PER_PX);
    else if (event.buttons & 1)
      turn(event, event.pointerType === "mouse" ? MOUSE_RAD_PER_PX : DRAG_RAD_PER_PX);
  });
  flushEveryFrame(controls);
}

function catchMouse(stage: HTMLElement): void {
  // Refused right after Esc and where there is no mouse; dragging still looks around then.
  Promise.resolve(stage.requestPointerLock()).catch(() => undefined);
}

function flushEveryFrame(controls: Controls): void {
  let flushedAt = 0;
  const frame = (now: number): void => {
    if (now - flushedAt >= FLUSH_EVERY_MS) {
      controls.flush();
      flushedAt = now;
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}
