/** Looking around, by a captured mouse or by dragging with a finger or the mouse. */
import type { Controls } from "./controls";
import { MouseFilter, type Movement } from "./mouse_filter";

const MOUSE_RAD_PER_PX = 0.0024;
const DRAG_RAD_PER_PX = 0.005;
/** A press that moved this far is a drag, not a click. */
const DRAG_PX = 4;
/** The server limits the message rate. Sending more often than the display refreshes gains nothing. */
const FLUSH_EVERY_MS = 15;

interface PointerOptions {
  stage: EventTarget & { requestPointerLock?(): unknown };
  document: { readonly pointerLockElement: unknown };
  controls: Controls;
  isSteering(): boolean;
  /** The visitor looked somewhere else. */
  turned(): void;
}

/** A finger or mouse button that is down. */
class Press {
  readonly isMouse: boolean;
  private readonly start: readonly [number, number];
  private last: readonly [number, number];
  private movedPx = 0;

  constructor({ pointerType, clientX, clientY }: PointerEvent) {
    this.isMouse = pointerType === "mouse";
    this.start = this.last = [clientX, clientY];
  }

  get isDrag(): boolean {
    return this.movedPx >= DRAG_PX;
  }

  /** How far since the last move. */
  moveTo({ clientX: x, clientY: y }: PointerEvent): [number, number] {
    const moved: [number, number] = [x - this.last[0], y - this.last[1]];
    this.last = [x, y];
    this.movedPx = Math.max(this.movedPx, Math.hypot(x - this.start[0], y - this.start[1]));
    return moved;
  }
}

export function bindPointer({ stage, document, controls, isSteering, turned }: PointerOptions): void {
  const presses = new Map<number, Press>();
  let latest: Press | null = null;
  const listen = (type: string, listener: (event: PointerEvent) => void): void =>
    stage.addEventListener(type, (event) => listener(event as PointerEvent));
  const filter = new MouseFilter();
  const turn = ([x, y]: Movement, radPerPx: number): void => {
    if (!isSteering()) return;
    controls.turn(x * radPerPx, -y * radPerPx);
    turned();
  };
  listen("pointerdown", (event) => {
    latest = new Press(event);
    presses.set(event.pointerId, latest);
  });
  for (const type of ["pointerup", "pointercancel"]) listen(type, (event) => presses.delete(event.pointerId));
  listen("pointermove", (event) => {
    if (document.pointerLockElement === stage) {
      const move = filter.take([event.movementX, event.movementY], event.timeStamp);
      return turn(move, MOUSE_RAD_PER_PX);
    }
    const press = presses.get(event.pointerId);
    if (press === undefined) return;
    // The button may have been released outside the stage.
    if (!(event.buttons & 1)) return presses.delete(event.pointerId);
    turn(press.moveTo(event), press.isMouse ? MOUSE_RAD_PER_PX : DRAG_RAD_PER_PX);
  });
  // The click itself does not say what was pressed in Safari before 18.2.
  listen("click", () => {
    if (isSteering() && latest?.isMouse && !latest.isDrag) catchMouse(stage);
  });
}

function catchMouse(stage: PointerOptions["stage"]): void {
  // Browsers refuse this right after Esc and without a mouse. Dragging still works then.
  Promise.resolve(stage.requestPointerLock?.()).catch(() => undefined);
}

/**
 * Sends turns once per frame of the display. The result must be called after a turn: a page that asks for
 * frames when nothing changes keeps the machine busy.
 */
export function flushWithFrames(controls: Controls, request: typeof requestAnimationFrame): () => void {
  let flushedAt = Number.NEGATIVE_INFINITY;
  let isWaiting = false;
  const frame = (now: number): void => {
    isWaiting = now - flushedAt < FLUSH_EVERY_MS;
    if (isWaiting) {
      request(frame);
      return;
    }
    controls.flush();
    flushedAt = now;
  };
  return () => {
    if (isWaiting) return;
    isWaiting = true;
    request(frame);
  };
}
