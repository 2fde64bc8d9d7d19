import { beforeEach, expect, it } from "vitest";
import { Controls, type ControlsMessage } from "../../src/input/controls";

let sent: ControlsMessage[];
let keysChanged: boolean[];
let controls: Controls;

beforeEach(() => {
  sent = [];
  keysChanged = [];
  controls = new Controls(
    (message, changed) => {
      sent.push(message);
      keysChanged.push(changed);
    },
    () => 12.5,
  );
});

const keysSent = (): string[] => sent.map((message) => message.keys.join("+"));

it("sends the full state with each change", () => {
  controls.press("KeyW", "w");
  controls.press("ArrowLeft", "left");
  controls.release("KeyW");
  expect(keysSent()).toEqual(["w", "w+left", "left"]);
  expect(sent[0]).toEqual({ type: "controls", seq: 1, t: 12.5, keys: ["w"], look: { yaw: 0, pitch: 0 } });
});

it("sends when the visitor pressed and let go, which may be a while ago", () => {
  controls.press("KeyW", "w", 3);
  controls.release("KeyW", 7);
  expect(sent.map((message) => message.t)).toEqual([3, 7]);
});

it("numbers messages upwards", () => {
  controls.press("KeyW", "w");
  controls.release("KeyW");
  expect(sent.map((message) => message.seq)).toEqual([1, 2]);
  expect(controls.lastSeq).toBe(2);
});

it("holds a key until every source has let go of it", () => {
  controls.press("KeyW", "w");
  controls.press("pointer 1", "w");
  controls.release("KeyW");
  expect(controls.pressed).toEqual(["w"]);
  expect(sent).toHaveLength(1);
});

it("changes over when a finger slides to another key", () => {
  controls.press("pointer 1", "w");
  controls.press("pointer 1", "a");
  expect(keysSent()).toEqual(["w", "a"]);
});

it("lets go of everything at once", () => {
  controls.press("KeyW", "w");
  controls.press("KeyD", "d");
  controls.releaseAll();
  controls.releaseAll();
  expect(keysSent()).toEqual(["w", "w+d", ""]);
});

it("adds up the look until it is flushed", () => {
  controls.turn(0.1, 0.2);
  controls.turn(0.2, -0.1);
  controls.flush();
  controls.flush();
  expect(sent).toHaveLength(1);
  expect(sent[0]?.look.yaw).toBeCloseTo(0.3);
  expect(sent[0]?.look.pitch).toBeCloseTo(0.1);
  expect(keysChanged).toEqual([false]);
});

it("takes the look along with a key change", () => {
  controls.turn(0.1, 0);
  controls.press("KeyW", "w");
  controls.flush();
  expect(sent).toHaveLength(1);
  expect(sent[0]?.look.yaw).toBeCloseTo(0.1);
});

it("never turns further in one message than the protocol allows", () => {
  for (let turn = 0; turn < 10; turn++) controls.turn(3, -3);
  controls.flush();
  expect(sent[0]?.look).toEqual({ yaw: 6.2832, pitch: -6.2832 });
});

it("ignores a turn that is no number", () => {
  controls.turn(Number.NaN, 0.1);
  controls.flush();
  expect(sent).toEqual([]);
});

it("sends the state again without an old look", () => {
  controls.press("KeyW", "w");
  controls.turn(1, 1);
  controls.tellAgain();
  expect(sent[1]).toMatchObject({ seq: 2, keys: ["w"], look: { yaw: 0, pitch: 0 } });
});
