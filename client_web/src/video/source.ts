/** The MediaSource behind the video element: built, fed, and built again after a failure. */
import { AppendQueue } from "./append_queue";

interface SourceEvents {
  /** The source is new and empty: the next fragment must be a key frame. */
  rebuilt(): void;
  /** Everything that was appended is in the buffer. */
  appended(): void;
  /** Up to where the buffer may be emptied to make room. */
  removableTo(): number;
  /** The video failed, and begins again. */
  failed(message: string): void;
  /** There is no picture for now, or never if the browser does not support the type. */
  gaveUp(reason: "unsupported" | "broken", message: string): void;
}

declare global {
  interface Window {
    ManagedMediaSource?: typeof MediaSource;
  }
}

/** After this many failures within this time, the next attempt waits. */
const NUM_FAILURES = 3;
const FAILURES_MS = 10_000;
const RETRY_MS = 3_000;

export function mediaSourceClass(): typeof MediaSource | undefined {
  return window.MediaSource ?? window.ManagedMediaSource;
}

export class Source {
  numFailures = 0;
  mime = "";
  private media: MediaSource | null = null;
  private queue: AppendQueue | null = null;
  init: Uint8Array<ArrayBuffer> | null = null;
  private offset = 0;
  private failedAtMs: number[] = [];
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly events: SourceEvents,
  ) {
    // Errors of a source that was replaced or given up do not matter.
    video.addEventListener(
      "error",
      () => video.error && this.queue !== null && this.fail(video.error.message),
    );
  }

  /** False before the first `open`, and after the source was given up. */
  get isOpen(): boolean {
    return this.queue !== null;
  }

  /** A new initialisation segment: the first one, another walk, or another session. */
  open(mime: string, data: Uint8Array<ArrayBuffer>): void {
    const sameType = mime === this.mime;
    this.mime = mime;
    this.init = data;
    this.failedAtMs = [];
    if (this.media === null || this.media.readyState === "ended") return this.build();
    if (!sameType) this.queue?.changeType(mime);
    this.queue?.append(data);
  }

  /** `offset` is what the buffer must add to the fragment's own times. */
  append(data: Uint8Array<ArrayBuffer>, offset: number): void {
    if (offset !== this.offset) {
      this.offset = offset;
      this.queue?.setOffset(offset);
    }
    this.queue?.append(data);
  }

  removeBefore(end: number): void {
    this.queue?.removeBefore(end);
  }

  build(): void {
    clearTimeout(this.retry);
    const Class = mediaSourceClass();
    if (Class === undefined || !Class.isTypeSupported(this.mime)) {
      return this.giveUp("unsupported", `this browser cannot play ${this.mime}`);
    }
    const media = new Class();
    const queue: AppendQueue = new AppendQueue({
      failed: (message) => this.queue === queue && this.fail(message),
      idle: () => this.queue === queue && this.events.appended(),
      removableTo: () => this.events.removableTo(),
    });
    this.media = media;
    this.queue = queue;
    this.offset = 0;
    if (this.init !== null) queue.append(this.init);
    media.addEventListener("sourceopen", () => this.opened(media, queue), { once: true });
    this.video.src = URL.createObjectURL(media);
    this.events.rebuilt();
  }

  private opened(media: MediaSource, queue: AppendQueue): void {
    if (this.media !== media) return;
    URL.revokeObjectURL(this.video.src);
    try {
      queue.attach(media.addSourceBuffer(this.mime));
    } catch (error) {
      this.fail(String(error));
    }
  }

  private fail(message: string): void {
    this.numFailures += 1;
    const now = performance.now();
    this.failedAtMs = [...this.failedAtMs.filter((earlier) => now - earlier < FAILURES_MS), now];
    if (this.failedAtMs.length >= NUM_FAILURES) return this.pauseTrying(message);
    this.events.failed(message);
    this.build();
  }

  private pauseTrying(message: string): void {
    this.giveUp("broken", message);
    this.retry = setTimeout(() => this.build(), RETRY_MS);
  }

  private giveUp(reason: "unsupported" | "broken", message: string): void {
    this.media = null;
    this.queue = null;
    this.events.gaveUp(reason, message);
  }
}
