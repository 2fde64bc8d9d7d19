import { beforeEach, expect, it } from "vitest";
import { Controls, type ControlsMessage } from "../../src/input/controls";
import { bindPointer, flushWithFrames } from "../../src/input/pointer";

class Stage extends EventTarget {
  numCaught = 0;
  requestPointerLock(): void {
    this.numCaught += 1;
  }
}

let stage: Stage;
let document: { pointerLockElement: EventTarget | null };
let controls: Controls;
let sent: ControlsMessage[];
let isSteering: boolean;
let numTurns: number;

beforeEach(() => {
  stage = new Stage();
  document = { pointerLockElement: null };
  sent = [];
  isSteering = true;
  controls = new Controls(
    (message) => sent.push(message),
    () => 0,
  );
  numTurns = 0;
  const turned = (): void => {
    numTurns += 1;
  };
  bindPointer({ stage, document, controls, isSteering: () => isSteering, turned });
});

function pointer(type: string, x: number, y: number, extra: object = {}): void {
  const fields = { pointerId: 1, pointerType: "mouse", buttons: 1, clientX: x, clientY: y, ...extra };
  stage.dispatchEvent(Object.assign(new Event(type), fields));
}

function yaw(): number | undefined {
  controls.flush();
  return sent.at(-1)?.look.yaw;
}

it("catches the mouse on a click that does not say what pressed", () => {
  pointer("pointerdown", 10, 10);
  pointer("pointermove", 12, 10);
  pointer("pointerup", 12, 10);
  pointer("click", 12, 10, { pointerType: undefined });
  expect(stage.numCaught).toBe(1);
});

it("does not catch the mouse at the end of a drag, even back where it began", () => {
  pointer("pointerdown", 10, 10);
  pointer("pointermove", 60, 10);
  pointer("pointermove", 10, 10);
  pointer("pointerup", 10, 10);
  pointer("click", 10, 10);
  expect(stage.numCaught).toBe(0);
});

it.each(["touch", "pen"])("does not catch a %s", (pointerType) => {
  pointer("pointerdown", 10, 10, { pointerType });
  pointer("click", 10, 10, { pointerType });
  expect(stage.numCaught).toBe(0);
});

it("does not mind a browser without pointer lock", () => {
  Object.assign(stage, { requestPointerLock: undefined });
  pointer("pointerdown", 10, 10);
  pointer("click", 10, 10);
});

it("looks by how far each finger moved, whatever the browser says of it", () => {
  const finger = { pointerType: "touch", movementX: undefined };
  pointer("pointerdown", 100, 100, finger);
  pointer("pointerdown", 300, 100, { ...finger, pointerId: 2 });
  pointer("pointermove", 110, 100, finger);
  pointer("pointermove", 330, 100, { ...finger, pointerId: 2 });
  expect(yaw()).toBeCloseTo(40 * 0.005);
});

it("looks by the caught mouse without a button", () => {
  document.pointerLockElement = stage;
  pointer("pointermove", 10, 10, { buttons: 0, movementX: 20, movementY: 0 });
  expect(yaw()).toBeCloseTo(20 * 0.0024);
});

it("does not look around with a button that came up elsewhere", () => {
  pointer("pointerdown", 10, 10);
  pointer("pointermove", 90, 10, { buttons: 0 });
  pointer("pointermove", 95, 10);
  expect(yaw()).toBeUndefined();
});

it("does not jump by what was dragged behind the panel", () => {
  pointer("pointerdown", 10, 10);
  isSteering = false;
  pointer("pointermove", 110, 10);
  isSteering = true;
  pointer("pointermove", 120, 10);
  expect(yaw()).toBeCloseTo(10 * 0.0024);
});

it("tells of turns only", () => {
  pointer("pointerdown", 10, 10);
  expect(numTurns).toBe(0);
  pointer("pointermove", 30, 10);
  expect(numTurns).toBe(1);
  isSteering = false;
  pointer("pointermove", 60, 10);
  expect(numTurns).toBe(1);
});

it("asks for a frame only after a turn, and sends not more often than every 15 ms", () => {
  const frames: FrameRequestCallback[] = [];
  const turned = flushWithFrames(controls, (frame) => frames.push(frame));
  const show = (now: number): void => {
    for (const frame of frames.splice(0)) frame(now);
  };
  const turn = (): void => {
    controls.turn(0.1, 0);
    turned();
  };
  expect(frames).toHaveLength(0);
  turn();
  turn();
  expect(frames).toHaveLength(1);
  show(100);
  expect(sent.map(({ look }) => look.yaw)).toEqual([0.2]);
  expect(frames).toHaveLength(0);
  turn();
  show(107);
  expect(sent).toHaveLength(1);
  expect(frames).toHaveLength(1);
  show(115);
  expect(sent).toHaveLength(2);
  expect(frames).toHaveLength(0);
});
