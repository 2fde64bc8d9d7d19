import { expect, it } from "vitest";
import type { Chunk, Media } from "../../src/net/protocol";
import { ChunkCost } from "../../src/stats/measurements";

it("adds up what a chunk's frames cost", () => {
  const cost = new ChunkCost();
  cost.begin({ index: 3, timings: { select: 1, context: 20, denoise: 100 } } as unknown as Chunk);
  cost.add({ chunk: 3, decode: 10, encode: 2 } as Media);
  cost.add({ chunk: 3, decode: 10, encode: 2 } as Media);
  cost.add({ chunk: 2, decode: 99, encode: 99 } as Media);
  expect([cost.of("decode"), cost.of("encode"), cost.totalMs]).toEqual([20, 4, 145]);
});
