/** What comes is appended at once and shown once: the same as in a browser, without its clock. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Player, type ShownFrame } from "../../src/video/player";
import { type FakeBuffer, FakeVideo, FRAME_S, MIME, media, newest, stubBrowser } from "./fakes";

const INIT = 255;
let video: FakeVideo;
let player: Player;
let shown: ShownFrame[];

const ignore = (): void => undefined;

beforeEach(() => {
  vi.useFakeTimers();
  stubBrowser();
  video = new FakeVideo();
  shown = [];
  player = new Player(video as unknown as HTMLVideoElement, {
    isExpecting: () => true,
    shown: (frame) => shown.push(frame),
    stalled: ignore,
    jumped: ignore,
    failed: ignore,
    gaveUp: ignore,
    needsGesture: ignore,
    playing: ignore,
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function open(): FakeBuffer {
  player.open(MIME, Uint8Array.of(INIT));
  return newest().open();
}

function receive(first: number, end = first + 1): void {
  for (let frame = first; frame < end; frame++) player.append(media(frame), performance.now());
}

const numbers = (end: number): number[] => Array.from({ length: end }, (_, number) => number);

it("plays before there is media, so that the first frame needs no other", () => {
  open();
  expect([video.paused, video.src]).toEqual([false, "blob:"]);
});

it("appends the first frame with the init segment when the source opens", () => {
  player.open(MIME, Uint8Array.of(INIT));
  receive(0);
  expect(newest().open().appended).toEqual([INIT, 0]);
});

it("appends a frame within the call that brings it, if the buffer is idle", () => {
  const buffer = open();
  for (const frame of numbers(40)) {
    buffer.finish();
    receive(frame);
    expect(buffer.appended.at(-1)).toBe(frame);
  }
});

it("appends what came while the buffer was busy as soon as it is not", () => {
  const buffer = open();
  receive(0, 5);
  expect(buffer.appended).toEqual([INIT]);
  buffer.finish();
  expect(buffer.appended).toEqual([INIT, ...numbers(5)]);
});

it("appends every frame once and in order, however they come", () => {
  const buffer = open();
  const bursts = [1, 7, 2, 16, 3, 1, 18];
  let next = 0;
  for (const burst of bursts) {
    receive(next, next + burst);
    next += burst;
    buffer.finish();
    vi.advanceTimersByTime(burst * 10);
  }
  buffer.finish();
  expect(buffer.appended).toEqual([INIT, ...numbers(48)]);
});

it("tells of every frame once when it is presented", () => {
  const buffer = open();
  receive(0, 48);
  buffer.finish();
  for (const frame of numbers(48)) video.present(frame * FRAME_S);
  expect(shown.map(({ frame }) => frame)).toEqual(numbers(48));
  expect([player.numReceived, player.numShown]).toEqual([48, 48]);
});

it("counts the frames that the browser presented without telling", () => {
  const buffer = open();
  receive(0, 4);
  buffer.finish();
  video.present(0);
  video.numPresented += 2;
  video.present(3 * FRAME_S);
  expect(shown.map(({ frame }) => frame)).toEqual([0, 3]);
  expect(player.numShown).toBe(4);
});

it("neither hurries nor skips while frames come in time", () => {
  const buffer = open();
  for (const frame of numbers(240)) {
    vi.advanceTimersByTime(FRAME_S * 1_000);
    video.currentTime = Math.max(0, frame - 1) * FRAME_S;
    receive(frame);
    buffer.finish();
    video.present(video.currentTime);
  }
  expect([player.playbackRate, player.numSkips, player.numRebuilds]).toEqual([1, 0, 0]);
});

it("marks only the first frame of a burst that ends an underrun", () => {
  const buffer = open();
  video.readyState = 2;
  receive(0);
  buffer.finish();
  video.currentTime = FRAME_S / 2;
  receive(1, 3);
  buffer.finish();
  video.readyState = 3;
  receive(3);
  buffer.finish();
  for (const frame of numbers(4)) video.present(frame * FRAME_S);
  expect(shown.map(({ starved }) => starved)).toEqual([true, true, false, false]);
});
