/** Feeds a SourceBuffer one operation at a time, each as soon as the last one is done. */

export interface SourceBufferLike {
  readonly updating: boolean;
  timestampOffset: number;
  appendBuffer(data: Uint8Array<ArrayBuffer>): void;
  remove(start: number, end: number): void;
  changeType(mime: string): void;
  addEventListener(type: "updateend" | "error", listener: () => void): void;
}

type Task =
  | { kind: "append"; data: Uint8Array<ArrayBuffer> }
  | { kind: "offset"; seconds: number }
  | { kind: "type"; mime: string }
  | { kind: "remove"; end: number };

export class AppendQueue {
  private tasks: Task[] = [];
  private failed = false;

  constructor(
    private readonly buffer: SourceBufferLike,
    private readonly onError: (message: string) => void,
  ) {
    buffer.addEventListener("updateend", () => this.pump());
    buffer.addEventListener("error", () => this.fail("the source buffer refused a fragment"));
  }

  append(data: Uint8Array<ArrayBuffer>): void {
    this.add({ kind: "append", data });
  }

  /** Shift the times of what is appended from here on. */
  setOffset(seconds: number): void {
    this.add({ kind: "offset", seconds });
  }

  changeType(mime: string): void {
    this.add({ kind: "type", mime });
  }

  /** Forget everything before `end`; skipped while there is anything to show instead. */
  removeBefore(end: number): void {
    if (this.tasks.length === 0 && !this.buffer.updating) this.add({ kind: "remove", end });
  }

  private add(task: Task): void {
    this.tasks.push(task);
    this.pump();
  }

  private pump(): void {
    while (!this.failed && !this.buffer.updating) {
      const task = this.tasks.shift();
      if (task === undefined) return;
      this.attempt(task);
    }
  }

  private attempt(task: Task): void {
    try {
      this.perform(task);
    } catch (error) {
      this.fail(String(error));
    }
  }

  private perform(task: Task): void {
    if (task.kind === "append") return this.buffer.appendBuffer(this.joinedWithNext(task.data));
    if (task.kind === "remove") return this.buffer.remove(0, task.end);
    if (task.kind === "type") return this.buffer.changeType(task.mime);
    this.buffer.timestampOffset = task.seconds;
  }

  /** What piled up while the buffer was busy goes in together: each append costs a turn of the event loop. */
  private joinedWithNext(first: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const parts = [first];
    for (let next = this.tasks[0]; next?.kind === "append"; next = this.tasks[0]) {
      parts.push(next.data);
      this.tasks.shift();
    }
    return parts.length === 1 ? first : concatenate(parts);
  }

  private fail(message: string): void {
    if (this.failed) return;
    this.failed = true;
    this.tasks = [];
    this.onError(message);
  }
}

function concatenate(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
