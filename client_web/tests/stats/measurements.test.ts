import { expect, it, vi } from "vitest";
import type { Chunk, Media } from "../../src/net/protocol";
import { ChunkCost, Measurements } from "../../src/stats/measurements";

it("adds up what a chunk's frames cost", () => {
  const cost = new ChunkCost();
  cost.begin({ index: 3, timings: { select: 1, context: 20, denoise: 100 } } as unknown as Chunk);
  cost.add({ chunk: 3, decode: 10, encode: 2 } as Media);
  cost.add({ chunk: 3, decode: 10, encode: 2 } as Media);
  cost.add({ chunk: 2, decode: 99, encode: 99 } as Media);
  expect([cost.of("decode"), cost.of("encode"), cost.totalMs]).toEqual([20, 4, 145]);
});

it("counts the rest of a cut chunk anew", () => {
  const cost = new ChunkCost();
  cost.begin({ index: 3, frames: 16, timings: { denoise: 100 } } as unknown as Chunk);
  cost.add({ chunk: 3, decode: 10, encode: 2 } as Media);
  cost.begin({ index: 3, frames: 8, timings: { denoise: 60 } } as unknown as Chunk);
  cost.add({ chunk: 3, decode: 5, encode: 1 } as Media);
  expect([cost.numFrames, cost.totalMs]).toEqual([8, 66]);
});

it("takes the time from decoding to the screen, apart for frames that came in an underrun", () => {
  vi.spyOn(performance, "now").mockReturnValue(1_010);
  const measured = new Measurements();
  const frame = {
    frame: 0,
    chunk: 0,
    elementTime: 0,
    encodeMs: 0,
    arrivedAt: 0,
    queuedMs: 0,
    key: true,
    starved: true,
  };
  measured.shown({ ...frame, decodedAt: 5_000, shownAt: 1_000 });
  expect(measured.decodedToShown.values).toEqual([]); // the clocks are not aligned yet
  measured.pong(1_000, 5_005);
  measured.shown({ ...frame, decodedAt: 5_100, shownAt: 1_120 });
  measured.shown({ ...frame, decodedAt: 5_200, shownAt: 1_300, starved: false });
  expect(measured.decodedToShown.values).toEqual([20, 100]);
  expect(measured.starvedDecodedToShown.values).toEqual([20]);
  vi.restoreAllMocks();
});
