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

type RemoveTask = Extract<Task, { kind: "remove" }>;

export class AppendQueue {
  private tasks: Task[] = [];
  private wanted: RemoveTask | null = null;
  private buffer: SourceBufferLike | null = null;
  private failed = false;

  constructor(private readonly onError: (message: string) => void) {}

  /** What came before the source was open waits for its buffer. */
  attach(buffer: SourceBufferLike): void {
    this.buffer = buffer;
    buffer.addEventListener("updateend", () => this.pump());
    buffer.addEventListener("error", () => this.fail("the source buffer refused a fragment"));
    this.pump();
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

  /** Forget everything before `end`, once there is nothing more urgent to do. */
  removeBefore(end: number): void {
    this.wanted = { kind: "remove", end };
    this.pump();
  }

  private add(task: Task): void {
    this.tasks.push(task);
    this.pump();
  }

  private pump(): void {
    while (this.buffer !== null && !this.failed && !this.buffer.updating) {
      const task = this.tasks.shift() ?? this.takeRemove();
      if (task === undefined) return;
      this.attempt(task, this.buffer);
    }
  }

  private takeRemove(): RemoveTask | undefined {
    const task = this.wanted ?? undefined;
    this.wanted = null;
    return task;
  }

  private attempt(task: Task, buffer: SourceBufferLike): void {
    try {
      this.perform(task, buffer);
    } catch (error) {
      this.fail(String(error));
    }
  }

  private perform(task: Task, buffer: SourceBufferLike): void {
    if (task.kind === "append") buffer.appendBuffer(this.joinedWithNext(task.data));
    else if (task.kind === "remove") buffer.remove(0, task.end);
    else if (task.kind === "type") buffer.changeType(task.mime);
    else buffer.timestampOffset = task.seconds;
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
