/** A video element and its MediaSource, which do nothing until a test tells them to. */
import { vi } from "vitest";
import type { Media } from "../../src/net/protocol";

export const MIME = 'video/mp4; codecs="avc1.64000c"';
export const FRAME_S = 1 / 24;

export class FakeBuffer extends EventTarget {
  updating = false;
  timestampOffset = 0;
  removed: number[] = [];
  /** What was appended so far, a byte for each segment. */
  appended: number[] = [];

  appendBuffer(data: Uint8Array): void {
    this.appended.push(...data);
    this.updating = true;
  }

  remove(_start: number, end: number): void {
    this.removed.push(end);
    this.updating = true;
  }

  changeType(): void {}

  finish(): void {
    this.updating = false;
    this.dispatchEvent(new Event("updateend"));
  }
}

export class FakeSource extends EventTarget {
  static isTypeSupported = (): boolean => true;
  static refuses = false;
  static all: FakeSource[] = [];
  readyState = "open";
  readonly buffer = new FakeBuffer();

  constructor() {
    super();
    FakeSource.all.push(this);
  }

  addSourceBuffer(): FakeBuffer {
    if (FakeSource.refuses) throw new Error("QuotaExceededError");
    return this.buffer;
  }

  open(): FakeBuffer {
    this.dispatchEvent(new Event("sourceopen"));
    return this.buffer;
  }
}

export class FakeVideo extends EventTarget {
  src = "";
  currentTime = 0;
  playbackRate = 1;
  readyState = 4;
  paused = true;
  refuses = false;

  private onFrame: VideoFrameRequestCallback = () => undefined;
  numPresented = 0;

  requestVideoFrameCallback(callback: VideoFrameRequestCallback): void {
    this.onFrame = callback;
  }

  present(mediaTime: number): void {
    this.numPresented += 1;
    const metadata = { mediaTime, presentedFrames: this.numPresented, expectedDisplayTime: 0 };
    this.onFrame(0, metadata as VideoFrameCallbackMetadata);
  }

  async play(): Promise<void> {
    if (this.refuses) throw new DOMException("no gesture", "NotAllowedError");
    this.paused = false;
    this.dispatchEvent(new Event("playing"));
  }
}

/** Make these what the page finds in its browser. */
export function stubBrowser(): void {
  FakeSource.all = [];
  FakeSource.refuses = false;
  FakeSource.isTypeSupported = () => true;
  vi.stubGlobal("window", { MediaSource: FakeSource });
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("HTMLMediaElement", { HAVE_FUTURE_DATA: 3 });
  vi.stubGlobal("URL", { createObjectURL: () => "blob:", revokeObjectURL: () => undefined });
}

export const newest = (): FakeSource => FakeSource.all.at(-1) as FakeSource;

/** A frame whose only byte is its number. */
export function media(frame: number, key = frame % 16 === 0): Media {
  const times = { time: frame * FRAME_S, duration: FRAME_S, decoded_at: 0, decode: 0, encode: 0 };
  return { type: "media", chunk: 0, frame, key, data: Uint8Array.of(frame), ...times };
}
