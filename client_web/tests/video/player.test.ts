import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Player } from "../../src/video/player";
import { type FakeBuffer, FakeSource, FakeVideo, FRAME_S, MIME, media, newest, stubBrowser } from "./fakes";

let video: FakeVideo;
let player: Player;
let told: string[];
let isExpecting: boolean;

beforeEach(() => {
  vi.useFakeTimers();
  stubBrowser();
  video = new FakeVideo();
  told = [];
  isExpecting = true;
  player = new Player(video as unknown as HTMLVideoElement, {
    isExpecting: () => isExpecting,
    shown: () => undefined,
    stalled: () => undefined,
    jumped: () => told.push("jumped"),
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

function open(): FakeBuffer {
  player.open(MIME, new Uint8Array(1));
  return newest().open();
}

/** Append frames, each as soon as the one before is in the buffer. */
function appendAll(buffer: FakeBuffer, first: number, end: number): void {
  for (let frame = first; frame < end; frame++) {
    buffer.finish();
    player.append(media(frame), performance.now());
  }
  buffer.finish();
}

it("forgets what was played a while ago, though a fragment is being appended", () => {
  const buffer = open();
  for (let frame = 0; frame < 240; frame++) {
    appendAll(buffer, frame, frame + 1);
    video.currentTime = frame * FRAME_S;
    video.present(video.currentTime);
  }
  expect(buffer.removed).toEqual([expect.closeTo((7 * 16) / 24 - 0.01, 5)]);
});

it("keeps what the decoder has not reached, though the playhead ran on", () => {
  const buffer = open();
  appendAll(buffer, 0, 16);
  video.present(0);
  video.currentTime = 20;
  for (let frame = 16; frame < 600; frame++) appendAll(buffer, frame, frame + 1);
  expect(buffer.removed).toEqual([]);
});

it("jumps to the newest key frame when media comes while the playhead is past the end", () => {
  const buffer = open();
  appendAll(buffer, 0, 16);
  video.present(0);
  video.currentTime = 20;
  for (let frame = 16; frame < 50; frame++) player.append(media(frame), performance.now());
  buffer.finish();
  buffer.finish();
  expect(video.currentTime).toBeCloseTo(48 / 24, 5);
  expect(told).toContain("jumped");
});

it("does not jump for an underrun, which carries the playhead a little over the end", () => {
  const buffer = open();
  appendAll(buffer, 0, 16);
  video.present(0);
  video.currentTime = 17 / 24 + 0.05;
  appendAll(buffer, 16, 17);
  expect(video.currentTime).toBe(17 / 24 + 0.05);
});

it("reports nothing buffered while no frame is presented, and seeks", () => {
  const buffer = open();
  appendAll(buffer, 0, 20);
  video.present(0);
  video.currentTime = 3 / 24;
  vi.advanceTimersByTime(300);
  expect(player.bufferedS).toBeCloseTo(17 / 24, 5);
  vi.advanceTimersByTime(300);
  expect(player.bufferedS).toBe(0);
  expect(video.currentTime).toBeCloseTo(16 / 24, 5);
  video.present(16 / 24);
  expect(player.bufferedS).toBeCloseTo(4 / 24, 5);
});

it("rebuilds the video when no frame was presented for two seconds, and asks for what follows", () => {
  const buffer = open();
  appendAll(buffer, 0, 20);
  video.present(0);
  vi.advanceTimersByTime(2_200);
  expect(FakeSource.all).toHaveLength(2);
  expect([player.shownS, player.bufferedS]).toEqual([expect.closeTo(20 / 24, 5), 0]);
  const rebuilt = newest().open();
  appendAll(rebuilt, 20, 32);
  expect(player.shownS).toBeCloseTo(32 / 24, 5); // undecodable: counts as played
  appendAll(rebuilt, 32, 33);
  expect(rebuilt.timestampOffset).toBeCloseTo(-32 / 24, 5);
  expect([player.shownS, player.bufferedS]).toEqual([expect.closeTo(32 / 24, 5), expect.closeTo(1 / 24, 5)]);
});

it("rebuilds less and less often when that does not help", () => {
  open();
  for (let second = 0; second < 60; second++) {
    newest().open();
    appendAll(newest().buffer, 16 * second, 16 * second + 16);
    vi.advanceTimersByTime(1_000);
  }
  expect(player.numRebuilds).toBe(4);
  expect(told).not.toContain("broken");
});

it.each(["hidden", "paused", "played out", "asleep"])("leaves a video alone that is %s", (why) => {
  const buffer = open();
  video.refuses = why === "paused";
  appendAll(buffer, 0, 16);
  video.present(0);
  if (why === "hidden") vi.stubGlobal("document", { hidden: true });
  if (why === "paused") video.paused = true;
  if (why === "played out") video.currentTime = 16 / 24;
  const before = video.currentTime;
  if (why === "asleep") vi.setSystemTime(Date.now() + 60_000);
  vi.advanceTimersByTime(why === "asleep" ? 300 : 10_000);
  expect([FakeSource.all.length, video.currentTime]).toEqual([1, before]);
});

it("undoes what others did to the video", () => {
  open();
  video.playbackRate = 16;
  video.paused = true;
  vi.advanceTimersByTime(200);
  expect([video.playbackRate, video.paused]).toEqual([1, false]);
});

it("wants more buffered after a stall, though the browser stopped just before the end", () => {
  const buffer = open();
  appendAll(buffer, 0, 2);
  const before = player.liveEdgeS;
  video.currentTime = 2 * FRAME_S - 0.01;
  vi.advanceTimersByTime(2 * FRAME_S * 1_000 + 300);
  appendAll(buffer, 2, 3);
  expect(player.liveEdgeS).toBeCloseTo(before + 0.3, 2);
});

it.each([300, 650, 900])("wants no more after %i ms out of sight, which no timer noticed", (hiddenMs) => {
  const buffer = open();
  appendAll(buffer, 0, 2);
  video.currentTime = 2 * FRAME_S - 0.01;
  vi.advanceTimersByTime(hiddenMs);
  player.returned();
  appendAll(buffer, 2, 3);
  expect(player.reserveS).toBeCloseTo(FRAME_S, 3);
  expect(player.liveEdgeS).toBeCloseTo(FRAME_S, 3);
});

it("takes nothing for late that comes after the video was rebuilt", () => {
  const buffer = open();
  appendAll(buffer, 0, 20);
  video.present(0);
  vi.advanceTimersByTime(1_000);
  appendAll(buffer, 20, 22);
  vi.advanceTimersByTime(1_200);
  expect(player.numRebuilds).toBe(1);
  appendAll(newest().open(), 32, 33);
  expect(player.reserveS).toBeCloseTo(FRAME_S, 3);
});

it.each(["hidden", "paused"])("takes nothing for late that comes while the page is %s", (why) => {
  const buffer = open();
  appendAll(buffer, 0, 2);
  video.currentTime = 2 * FRAME_S - 0.01;
  vi.advanceTimersByTime(300);
  if (why === "hidden") vi.stubGlobal("document", { hidden: true });
  else isExpecting = false;
  appendAll(buffer, 2, 3);
  expect(player.reserveS).toBeCloseTo(FRAME_S, 3);
});

it("gives up at once on a video that the browser does not know", () => {
  FakeSource.isTypeSupported = () => false;
  player.open(MIME, new Uint8Array(1));
  player.append(media(0), 0);
  expect(told).toEqual(["unsupported"]);
  expect(player.bufferedS).toBe(0);
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

it("begins again when the source takes no buffer, and gives up the third time", () => {
  FakeSource.refuses = true;
  open();
  newest().open();
  expect(told).toEqual(["playing", "failed", "playing", "failed", "playing"]);
  newest().open();
  expect(told.at(-1)).toBe("broken");
  expect(FakeSource.all).toHaveLength(3);
  player.append(media(0), 0);
  expect(player.shownS).toBe(0);
  vi.advanceTimersByTime(3_000);
  expect(FakeSource.all).toHaveLength(4); // and tries again later, from there on
  expect(player.shownS).toBeCloseTo(FRAME_S);
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

it("plays in slow motion, also while it hurries to the live edge", () => {
  const buffer = open();
  player.setSpeed(0.4);
  expect(video.playbackRate).toBe(0.4);
  appendAll(buffer, 0, 16);
  expect(video.playbackRate).toBe(0.4);
  player.setSpeed(1);
  expect(video.playbackRate).toBe(1);
});
