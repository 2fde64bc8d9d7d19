import { beforeEach, expect, it } from "vitest";
import type { Chunk, Welcome } from "../../src/net/protocol";
import { beginningOf, newWalk } from "../../src/walk/walk";
import { WalkRecord } from "../../src/walk/walk_record";

const WELCOME = { model: "m", size: [160, 96] } as Welcome;
const PICTURE = { path: "me.jpg", sha256: "ab" };

/** A chunk whose four poses and labels are told apart by one number. */
const chunk = (index: number, mark: number): Chunk =>
  ({ type: "chunk", index, poses: Array(4).fill([mark]), labels: Array(4).fill(mark) }) as unknown as Chunk;

let record: WalkRecord;

beforeEach(() => {
  record = new WalkRecord();
});

const saved = (): Record<string, unknown> => JSON.parse(record.toJson()) as Record<string, unknown>;

it("keeps one pose and label for each latent, beside what the walk began with", () => {
  record.begin({ view: "gate", seed: 7 });
  expect(record.isEmpty).toBe(true);
  record.chunk(chunk(0, 1));
  record.chunk(chunk(1, 2));
  expect(saved()).toEqual({
    view: "gate",
    seed: 7,
    poses: [[1], [1], [1], [1], [2], [2], [2], [2]],
    labels: [1, 1, 1, 1, 2, 2, 2, 2],
  });
});

it("forgets what was made before the walk went back", () => {
  for (const index of [0, 1, 2]) record.chunk(chunk(index, index));
  record.chunk(chunk(1, 9));
  expect(saved().labels).toEqual([0, 0, 0, 0, 9, 9, 9, 9]);
});

/** Chunk 1 again, made anew from one of its latents on. */
const rest = (firstLatent: number, mark: number, revision = 1): Chunk => {
  const marks = [0, 1, 2, 3].map((latent) => (latent < firstLatent ? 1 : mark));
  const poses = marks.map((each) => [each]);
  return {
    ...chunk(1, 0),
    poses,
    labels: marks,
    revision,
    first_latent: firstLatent,
    latents: 4 - firstLatent,
  };
};

it("keeps what a cut threw away, in the order of the cuts", () => {
  for (const index of [0, 1]) record.chunk(chunk(index, index));
  record.chunk(rest(1, 7));
  record.chunk(rest(3, 8, 2));
  expect(saved().labels).toEqual([0, 0, 0, 0, 1, 1, 1, 8]);
  expect(saved().cuts).toEqual([
    { latent: 5, poses: [[1], [1], [1]], labels: [1, 1, 1] },
    { latent: 7, poses: [[7]], labels: [7] },
  ]);
});

it("leaves out a cut if what it threw away was never told, because the client read too slowly", () => {
  record.chunk(chunk(0, 0));
  record.chunk(rest(2, 7));
  expect(record.isPartial).toBe(false);
  expect(saved().labels).toEqual([0, 0, 0, 0, 1, 1, 7, 7]);
  expect(saved().cuts).toBeUndefined();
});

it("forgets the cuts of what was made before the walk went back", () => {
  for (const index of [0, 1]) record.chunk(chunk(index, index));
  record.chunk(rest(1, 7));
  record.chunk(chunk(0, 5));
  expect(saved().cuts).toBeUndefined();
  record.chunk(chunk(1, 1));
  record.chunk(rest(2, 7));
  record.begin({});
  record.chunk(chunk(0, 5));
  expect(saved().cuts).toBeUndefined();
});

it("forgets everything when another walk begins", () => {
  record.begin({ view: "gate", prompt: "rain" });
  record.chunk(chunk(0, 1));
  record.promptChanged("snow", 0);
  record.begin({ view: "garden" });
  expect(record.isEmpty).toBe(true);
  record.chunk(chunk(0, 5));
  record.restarted();
  expect(saved()).toEqual({ view: "garden", poses: [[5], [5], [5], [5]], labels: [5, 5, 5, 5] });
});

it("has no chunks when another walk begins", () => {
  record.begin({});
  record.chunk(chunk(9, 1));
  expect(record.numChunks).toBe(10);
  record.begin({});
  expect(record.numChunks).toBe(0);
});

it("knows the prompt of the first chunk, whatever the walk follows later", () => {
  record.begin({ prompt: "rain" });
  record.promptChanged("dusk", 0);
  record.promptChanged("snow", 3);
  expect(saved().prompt).toBe("dusk");
  record.restarted();
  expect(saved().prompt).toBe("snow");
});

it("says what the walk began with, the seed always", () => {
  const { seed, ...beginning } = beginningOf(newWalk({ view: "gate", prompt: "rain" }, null, null), WELCOME);
  expect(beginning).toEqual({ model: "m", size: [160, 96], view: "gate", prompt: "rain" });
  expect(seed).toBeTypeOf("number");
  expect(beginningOf(newWalk({ seed: 7, size: [320, 192] }, null, null), WELCOME)).toEqual({
    model: "m",
    size: [320, 192],
    seed: 7,
  });
});

it("names the picture it began with, or the view that stood for it", () => {
  const walk = newWalk({ image: new Uint8Array([1]), seed: 7 }, null, PICTURE);
  const rest = { model: "m", size: [160, 96], seed: 7 };
  expect(beginningOf(walk, WELCOME)).toEqual({ ...rest, image: PICTURE });
  expect(beginningOf({ ...walk, view: "gate" }, WELCOME)).toEqual({ ...rest, view: "gate" });
});

it("tells when the beginning is missing", () => {
  record.chunk({ ...chunk(2, 1), first_latent: 3, revision: 0 });
  record.chunk(chunk(3, 2));
  expect(record.isPartial).toBe(true);
  expect(record.numChunks).toBe(4);
});

it("does not know a walk whose beginning it did not see, even if that goes back to it", () => {
  record.begin({}, false);
  record.chunk(chunk(0, 5));
  expect([record.isEmpty, record.isPartial]).toEqual([false, true]);
  record.begin({ seed: 1 });
  record.chunk(chunk(0, 5));
  expect(record.isPartial).toBe(false);
});

it("keeps what it has when the end of the walk is shown again", () => {
  for (const index of [0, 1]) record.chunk(chunk(index, index));
  record.chunk(rest(1, 7));
  record.chunk({ ...chunk(1, 9), first_latent: 3, revision: 0 });
  expect(record.isPartial).toBe(false);
  expect(saved().labels).toEqual([0, 0, 0, 0, 1, 7, 7, 7]);
  expect(saved().cuts).toHaveLength(1);
});

it("keeps each prompt with the latent that it begins with", () => {
  record.begin({ prompt: "rain" });
  record.chunk(chunk(0, 1));
  record.promptChanged("dusk", 1);
  record.promptChanged("snow", 1);
  record.chunk(chunk(1, 1));
  record.promptChanged("night", 2);
  expect(saved().prompts).toEqual([{ latent: 4, text: "snow" }]);
  record.chunk(chunk(2, 1));
  expect(saved().prompts).toEqual([
    { latent: 4, text: "snow" },
    { latent: 8, text: "night" },
  ]);
});

it("keeps the newest prompt when the walk goes back", () => {
  record.begin({ prompt: "rain" });
  for (const index of [0, 1]) record.chunk(chunk(index, 1));
  record.promptChanged("snow", 2);
  record.chunk(chunk(2, 1));
  record.rewound(1);
  record.chunk(chunk(1, 1));
  expect(saved().prompts).toEqual([{ latent: 4, text: "snow" }]);
  record.promptChanged("rain", 1);
  expect(saved().prompts).toBeUndefined();
});

it("has one prompt after the walk began again", () => {
  record.begin({ prompt: "rain" });
  record.chunk(chunk(0, 1));
  record.promptChanged("snow", 1);
  record.chunk(chunk(1, 1));
  record.restarted();
  for (const index of [0, 1]) record.chunk(chunk(index, 1));
  expect(saved()).toMatchObject({ prompt: "snow" });
  expect(saved().prompts).toBeUndefined();
});
