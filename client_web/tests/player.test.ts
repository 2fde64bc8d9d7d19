import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Player } from "../src/player";
import type { Media } from "../src/protocol";

const MIME = 'video/mp4; codecs="avc1.64000c"';
const FRAME_S = 1 / 24;

class FakeBuffer extends EventTarget {
  updating = false;
  timestampOffset = 0;
  removed: number[] = [];

  appendBuffer(): void {
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

class FakeSource extends EventTarget {
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

class FakeVideo extends EventTarget {
  src = "";
  currentTime = 0;
  playbackRate = 1;
  readyState = 4;
  paused = true;
  refuses = false;

  requestVideoFrameCallback(): void {}

  async play(): Promise<void> {
    if (this.refuses) throw new DOMException("no gesture", "NotAllowedError");
    this.paused = false;
    this.dispatchEvent(new Event("playing"));
  }
}

let video: FakeVideo;
let player: Player;
let told: string[];

beforeEach(() => {
  vi.useFakeTimers();
  FakeSource.all = [];
  FakeSource.refuses = false;
  FakeSource.isTypeSupported = () => true;
  vi.stubGlobal("window", { MediaSource: FakeSource });
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("HTMLMediaElement", { HAVE_FUTURE_DATA: 3 });
  vi.stubGlobal("URL", { createObjectURL: () => "blob:", revokeObjectURL: () => undefined });
  video = new FakeVideo();
  told = [];
  player = new Player(video as unknown as HTMLVideoElement, {
    isExpecting: () => true,
    shown: () => undefined,
    stalled: () => undefined,
    failed: () => told.push("failed"),
    gaveUp: (reason) => told.push(reason),
    needsGesture: () => told.push("needs gesture"),
    playing: () => told.push("playing"),
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const newest = (): FakeSource => FakeSource.all.at(-1) as FakeSource;

function open(): FakeBuffer {
  player.open(MIME, new Uint8Array(1));
  return newest().open();
}

function media(frame: number): Media {
  const times = { time: frame * FRAME_S, duration: FRAME_S, decoded_at: 0, decode: 0, encode: 0 };
  return { type: "media", chunk: 0, frame, key: frame === 0, data: new Uint8Array(1), ...times };
}

it("forgets what was played a while ago, though a fragment is being appended", () => {
  const buffer = open();
  for (let frame = 0; frame < 240; frame++) {
    buffer.finish();
    video.currentTime = frame * FRAME_S;
    player.append(media(frame), frame);
  }
  buffer.finish();
  expect(buffer.removed).toEqual([expect.closeTo(4, 5)]);
});

it("gives up at once on a video that the browser does not know", () => {
  FakeSource.isTypeSupported = () => false;
  player.open(MIME, new Uint8Array(1));
  player.append(media(0), 0);
  expect(told).toEqual(["unsupported"]);
  expect(player.leadS).toBe(0);
});

it("asks for a gesture when playing is refused, and plays within one", async () => {
  video.refuses = true;
  open();
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual(["needs gesture"]);
  video.refuses = false;
  player.playInGesture();
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual(["needs gesture", "playing"]);
});

it("begins anew when the source takes no buffer, and gives up the third time", () => {
  FakeSource.refuses = true;
  open();
  newest().open();
  expect(told).toEqual(["playing", "failed", "playing", "failed", "playing"]);
  newest().open();
  expect(told.at(-1)).toBe("broken");
  expect(FakeSource.all).toHaveLength(3);
});

it("tries again for another walk, and after failures of long ago", () => {
  FakeSource.refuses = true;
  open();
  for (let failure = 0; failure < 5; failure++) {
    vi.advanceTimersByTime(6_000);
    newest().open();
  }
  expect(told).not.toContain("broken");
  newest().open();
  expect(told.at(-1)).toBe("broken");
  FakeSource.refuses = false;
  open();
  expect(told.at(-1)).toBe("playing");
});
