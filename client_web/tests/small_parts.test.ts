import { expect, it } from "vitest";
import { ServerClock } from "../src/net/clock";
import type { Chunk, Media } from "../src/net/protocol";
import { serverUrl } from "../src/net/socket";
import { ChunkCost } from "../src/stats/hud";
import { sizeWithin } from "../src/ui/own_image";
import { PromptChoice } from "../src/ui/prompt_choice";
import {
  beginningInWords,
  errorInWords,
  lossInWords,
  noVideoInWords,
  promptInWords,
  queueInWords,
} from "../src/ui/words";

it("reads the server's clock off the fastest recent round trip", () => {
  const clock = new ServerClock();
  expect(clock.toPage(5_000)).toBeNull();
  clock.pong(100, 5_150, 200);
  clock.pong(300, 5_302, 304);
  clock.pong(400, 5_500, 500);
  expect(clock.toPage(5_302)).toBe(302);
  expect(clock.roundTripMs).toBe(4);
});

it("forgets round trips of long ago", () => {
  const clock = new ServerClock();
  clock.pong(0, 1_000, 2);
  for (let ping = 0; ping < 8; ping++) clock.pong(100, 2_105, 110);
  expect(clock.roundTripMs).toBe(10);
});

it("adds up what a chunk's frames cost", () => {
  const cost = new ChunkCost();
  cost.begin({ index: 3, timings: { select: 1, context: 20, denoise: 100 } } as unknown as Chunk);
  cost.add({ chunk: 3, decode: 10, encode: 2 } as Media);
  cost.add({ chunk: 3, decode: 10, encode: 2 } as Media);
  cost.add({ chunk: 2, decode: 99, encode: 99 } as Media);
  expect([cost.of("decode"), cost.of("encode"), cost.totalMs]).toEqual([20, 4, 145]);
});

it.each([
  [
    [800, 480],
    [800, 480],
  ],
  [
    [4_000, 3_000],
    [1_664, 1_248],
  ],
  [
    [1_600, 1_600],
    [1_000, 1_000],
  ],
  [
    [5_000, 1],
    [1_664, 1],
  ],
])("scales %j to %j, never up", ([width = 0, height = 0], expected) => {
  const pixels = width === height ? 1_000_000 : 16_000_000;
  expect(sizeWithin(width, height, pixels, 1_664)).toEqual(expected);
});

it("never makes a strip longer for its width", () => {
  const [width, height] = sizeWithin(5_000, 500, 16_000_000, 1_664);
  expect(width / height).toBeLessThanOrEqual(10);
  expect(sizeWithin(500, 5_000, 16_000_000, 1_664)).toEqual([height, width]);
});

it.each([
  ["http://127.0.0.1:8000/", "ws://127.0.0.1:8000/ws"],
  ["https://example.org/walk/?a=1#token=x", "wss://example.org/walk/ws"],
])("finds the socket beside the page %s", (page, expected) => {
  expect(serverUrl(page)).toBe(expected);
});

it("gives the server's reason for the visitor's own faults only", () => {
  expect(errorInWords({ code: "bad_image", message: "got 3 bytes" })).toContain("(got 3 bytes)");
  expect(errorInWords({ code: "internal", message: "KeyError" })).not.toContain("KeyError");
  expect(errorInWords({ code: "new_code", message: "why" })).toContain("why");
});

it("says what became of the connection", () => {
  expect(lossInWords(null)).toBe("Cannot reach the server.");
  expect(lossInWords({ code: "busy", message: "" })).toContain("places are taken");
});

it("tells what is news where a walk begins", () => {
  expect(beginningInWords(false, undefined)).toBeNull();
  expect(beginningInWords(false, "Gate")).toContain("most like “Gate”");
  expect(beginningInWords(true, "Gate")).toContain("Connected again.");
});

it("says why there is no picture", () => {
  expect(noVideoInWords("unsupported")).toContain("H.264");
  expect(noVideoInWords("broken")).toContain("keeps breaking off");
});

it("says where in the queue one stands", () => {
  expect(queueInWords(3, 12.4)).toBe("Place 3 in the queue, about 12 s.");
  expect(queueInWords(1, null)).toBe("You are next.");
});

const choiceOf = (prompt: string, takenAs: string | null = null): PromptChoice => {
  const choice = new PromptChoice();
  choice.suggestions = ["Day", "Dusk", "Snow"].map((title) => ({ title, prompt: `the court at ${title}` }));
  choice.confirm(prompt, takenAs);
  return choice;
};

it.each([
  ["the court at Dusk", null, "Now: Dusk."],
  ["the court at Dusk", "Dusk", "Now: Dusk."],
  ["", null, "Now: Day."],
  ["in the fog", null, "The world now follows: in the fog"],
  ["a volcano", "Day", "This world knows day, dusk and snow; taken as day."],
])("says what the world makes of the prompt %j, taken as %s", (prompt, takenAs, expected) => {
  expect(promptInWords(choiceOf(prompt, takenAs), false)).toBe(expected);
});

it("says when a prompt will be seen", () => {
  expect(promptInWords(choiceOf("the court at Dusk"), true)).toMatch(
    /^Now: Dusk\. .* when the walk goes on\.$/,
  );
  expect(promptInWords(new PromptChoice(), false)).toBe("The world now follows: no prompt");
});
