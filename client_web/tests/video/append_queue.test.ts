import { beforeEach, expect, it } from "vitest";
import { AppendQueue, type SourceBufferLike } from "../../src/video/append_queue";

class FakeBuffer implements SourceBufferLike {
  updating = false;
  calls: unknown[] = [];
  refuses = false;
  isFull = false;
  private listeners = new Map<string, () => void>();

  get timestampOffset(): number {
    return 0;
  }

  set timestampOffset(seconds: number) {
    this.calls.push(["offset", seconds]);
  }

  appendBuffer(data: Uint8Array): void {
    if (this.refuses) throw new Error("no longer attached");
    if (this.isFull) throw new DOMException("full", "QuotaExceededError");
    this.begin(["append", ...data]);
  }

  remove(start: number, end: number): void {
    this.begin(["remove", start, end]);
  }

  changeType(mime: string): void {
    this.calls.push(["type", mime]);
  }

  addEventListener(type: string, listener: () => void): void {
    this.listeners.set(type, listener);
  }

  finish(): void {
    this.updating = false;
    this.listeners.get("updateend")?.();
  }

  emitError(): void {
    this.listeners.get("error")?.();
  }

  private begin(call: unknown): void {
    this.calls.push(call);
    this.updating = true;
  }
}

let buffer: FakeBuffer;
let queue: AppendQueue;
let errors: string[];
let removableTo: number;
let numIdle: number;

const newQueue = (): AppendQueue =>
  new AppendQueue({
    failed: (message) => errors.push(message),
    idle: () => {
      numIdle += 1;
    },
    removableTo: () => removableTo,
  });

beforeEach(() => {
  buffer = new FakeBuffer();
  errors = [];
  removableTo = 0;
  numIdle = 0;
  queue = newQueue();
  queue.attach(buffer);
});

it("appends at once when the buffer is idle", () => {
  queue.append(new Uint8Array([1]));
  expect(buffer.calls).toEqual([["append", 1]]);
});

it("keeps what came before its buffer was there", () => {
  const early = newQueue();
  early.append(new Uint8Array([1]));
  early.append(new Uint8Array([2]));
  early.attach(buffer);
  expect(buffer.calls).toEqual([["append", 1, 2]]);
});

it("joins what came while the buffer was busy", () => {
  for (const value of [1, 2, 3]) queue.append(new Uint8Array([value]));
  buffer.finish();
  expect(buffer.calls).toEqual([
    ["append", 1],
    ["append", 2, 3],
  ]);
});

it("shifts times exactly between the fragments it was told to", () => {
  queue.append(new Uint8Array([1]));
  queue.append(new Uint8Array([2]));
  queue.setOffset(5);
  queue.append(new Uint8Array([3]));
  buffer.finish();
  buffer.finish();
  expect(buffer.calls).toEqual([
    ["append", 1],
    ["append", 2],
    ["offset", 5],
    ["append", 3],
  ]);
});

it("removes as soon as nothing else is left to do", () => {
  queue.append(new Uint8Array([1]));
  queue.removeBefore(4);
  queue.append(new Uint8Array([2]));
  queue.removeBefore(8);
  for (let turn = 0; turn < 4; turn++) buffer.finish();
  expect(buffer.calls).toEqual([
    ["append", 1],
    ["append", 2],
    ["remove", 0, 8],
  ]);
});

it("changes the type before the next segment", () => {
  queue.changeType("video/mp4");
  queue.append(new Uint8Array([1]));
  expect(buffer.calls).toEqual([
    ["type", "video/mp4"],
    ["append", 1],
  ]);
});

it("reports a refusal once and stops", () => {
  buffer.refuses = true;
  queue.append(new Uint8Array([1]));
  queue.append(new Uint8Array([2]));
  buffer.emitError();
  expect(errors).toEqual(["Error: no longer attached"]);
});

it("makes room in a full buffer and appends again", () => {
  removableTo = 7;
  buffer.isFull = true;
  queue.append(new Uint8Array([1]));
  queue.append(new Uint8Array([2]));
  buffer.isFull = false;
  buffer.finish();
  expect(buffer.calls).toEqual([
    ["remove", 0, 7],
    ["append", 1, 2],
  ]);
  expect(errors).toEqual([]);
});

it.each([0, 7])("fails when a buffer stays full, with room to make up to %d", (end) => {
  removableTo = end;
  buffer.isFull = true;
  queue.append(new Uint8Array([1]));
  buffer.finish();
  expect(errors).toEqual(["QuotaExceededError: full"]);
});

it("says when everything was appended", () => {
  queue.append(new Uint8Array([1]));
  queue.append(new Uint8Array([2]));
  buffer.finish();
  expect(numIdle).toBe(0);
  buffer.finish();
  expect(numIdle).toBe(1);
});
