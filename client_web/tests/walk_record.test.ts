import { expect, it } from "vitest";
import type { Chunk } from "../src/protocol";
import { WalkRecord } from "../src/walk_record";

/** A chunk whose four poses and labels are told apart by one number. */
const chunk = (index: number, mark: number): Chunk =>
  ({ type: "chunk", index, poses: Array(4).fill([mark]), labels: Array(4).fill(mark) }) as unknown as Chunk;

const labelsOf = (record: WalkRecord): number[] =>
  (JSON.parse(record.toJson({})) as { labels: number[] }).labels;

it("keeps one pose and label for each latent, beside what the walk began with", () => {
  const record = new WalkRecord();
  expect(record.isEmpty).toBe(true);
  record.chunk(chunk(0, 1));
  record.chunk(chunk(1, 2));
  expect(JSON.parse(record.toJson({ view: "gate", seed: 7 }))).toEqual({
    view: "gate",
    seed: 7,
    poses: [[1], [1], [1], [1], [2], [2], [2], [2]],
    labels: [1, 1, 1, 1, 2, 2, 2, 2],
  });
});

it("forgets what was made before the walk went back", () => {
  const record = new WalkRecord();
  for (const index of [0, 1, 2]) record.chunk(chunk(index, index));
  record.chunk(chunk(1, 9));
  expect(labelsOf(record)).toEqual([0, 0, 0, 0, 9, 9, 9, 9]);
});

it("begins anew with another walk", () => {
  const record = new WalkRecord();
  for (const index of [0, 1]) record.chunk(chunk(index, index));
  record.chunk(chunk(0, 5));
  expect(labelsOf(record)).toEqual([5, 5, 5, 5]);
});
