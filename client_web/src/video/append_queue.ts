/** Feeds a SourceBuffer one operation at a time, each as soon as the last one is done. */

export interface SourceBufferLike {
  readonly updating: boolean;
  timestampOffset: number;
  appendBuffer(data: Uint8Array<ArrayBuffer>): void;
  remove(start: number, end: number): void;
  changeType(mime: string): void;
  addEventListener(type: "updateend" | "error", listener: () => void): void;
}

interface QueueEvents {
  failed(message: string): void;
  /** Nothing is left to append. */
  idle(): void;
  /** Up to where the buffer may be emptied to make room; 0 for nothing. */
  removableTo(): number;
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
  /** The buffer was full, and was emptied as far as possible. */
  private hasMadeRoom = false;

  constructor(private readonly events: QueueEvents) {}

  /** What was added before the source was open waits for its buffer. */
  attach(buffer: SourceBufferLike): void {
    this.buffer = buffer;
    buffer.addEventListener("updateend", () => this.updated());
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

  /** Remove everything before `end`, when nothing waits to be appended. */
  removeBefore(end: number): void {
    this.wanted = { kind: "remove", end };
    this.pump();
  }

  private add(task: Task): void {
    this.tasks.push(task);
    this.pump();
  }

  private updated(): void {
    this.pump();
    if (this.tasks.length === 0 && !this.failed && this.buffer?.updating === false) this.events.idle();
  }

  private pump(): void {
    while (this.buffer !== null && !this.failed && !this.buffer.updating) {
      const task = this.takeAppends() ?? this.tasks.shift() ?? this.takeRemove();
      if (task === undefined) return;
      this.attempt(task, this.buffer);
    }
  }

  /** Join what waited while the buffer was busy, because each append costs a turn of the event loop. */
  private takeAppends(): Task | undefined {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for (let next = this.tasks[0]; next?.kind === "append"; next = this.tasks[0]) {
      parts.push(next.data);
      this.tasks.shift();
    }
    const [first] = parts;
    if (first === undefined) return undefined;
    return { kind: "append", data: parts.length === 1 ? first : concatenate(parts) };
  }

  private takeRemove(): RemoveTask | undefined {
    const task = this.wanted ?? undefined;
    this.wanted = null;
    return task;
  }

  private attempt(task: Task, buffer: SourceBufferLike): void {
    try {
      perform(task, buffer);
      if (task.kind === "append") this.hasMadeRoom = false;
    } catch (error) {
      if (!isFull(error) || !this.makeRoom(task, buffer)) this.fail(String(error));
    }
  }

  /** Empty a full buffer as far as possible and try again, once. */
  private makeRoom(task: Task, buffer: SourceBufferLike): boolean {
    const end = this.events.removableTo();
    if (this.hasMadeRoom || end <= 0) return false;
    this.hasMadeRoom = true;
    this.tasks.unshift(task);
    buffer.remove(0, end);
    return true;
  }

  private fail(message: string): void {
    if (this.failed) return;
    this.failed = true;
    this.tasks = [];
    this.events.failed(message);
  }
}

function perform(task: Task, buffer: SourceBufferLike): void {
  if (task.kind === "append") buffer.appendBuffer(task.data);
  else if (task.kind === "remove") buffer.remove(0, task.end);
  else if (task.kind === "type") buffer.changeType(task.mime);
  else buffer.timestampOffset = task.seconds;
}

function isFull(error: unknown): boolean {
  return error instanceof Error && error.name === "QuotaExceededError";
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
