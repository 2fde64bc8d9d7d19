import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { PromptChoice } from "../../src/ui/prompt_choice";
import {
  beginningInWords,
  errorInWords,
  lossInWords,
  missingInWords,
  noVideoInWords,
  placesInWords,
  promptInWords,
  queueInWords,
  recordingEndedInWords,
  seatedInWords,
  unsavedInWords,
  yieldedInWords,
} from "../../src/ui/words";

it("gives the server's reason for the visitor's own faults only", () => {
  expect(errorInWords({ code: "bad_image", message: "got 3 bytes" })).toContain("(got 3 bytes)");
  expect(errorInWords({ code: "internal", message: "KeyError" })).not.toContain("KeyError");
  expect(errorInWords({ code: "new_code", message: "why" })).toContain("why");
});

it("says what became of the connection", () => {
  expect(lossInWords(null)).toBe("Cannot reach the server.");
  expect(lossInWords({ code: "busy", message: "" })).toContain("places are taken");
});

const LOSSES = ["busy", "internal", "out_of_memory", "slow_consumer", "too_fast", "restarting"];
it.each(LOSSES)("says after %s that the walk goes on, if there is one that the server keeps", (code) => {
  expect(lossInWords({ code, message: "" }, true)).toMatch(/[Yy]our walk (is kept for a day|goes on)/);
  expect(lossInWords({ code, message: "" }, false)).not.toContain("walk");
});

it("speaks of no places to somebody who comes back: the store may be the reason", () => {
  expect(lossInWords({ code: "busy", message: "" }, true)).toBe(
    "The server cannot take you back at the moment. Your walk is kept for a day, and goes on when it can.",
  );
});

it("has words for every code that the server sends", () => {
  const codes = readFileSync("../server/worldplay/protocol/errors.py", "utf8").matchAll(
    /^ {4}[A-Z_]+ = "(\w+)"$/gm,
  );
  const words = [...codes].map(([, code = ""]) => errorInWords({ code, message: "" }));
  expect(words).toHaveLength(17);
  for (const said of words) expect(said).not.toContain("reported a problem");
});

it("says of a kept walk that it could not be opened", () => {
  const gone = { code: "bad_request", message: "start.snapshot: got one that is not" };
  expect(errorInWords(gone, true)).toContain("That walk could not be opened. It may be kept no longer");
  expect(errorInWords(gone, true)).toContain("of an earlier model");
  expect(errorInWords({ code: "bad_image", message: "" }, true)).toContain("picture");
});

it("tells what is news where a walk begins", () => {
  expect(beginningInWords(false, undefined)).toBeNull();
  expect(beginningInWords(false, "Gate")).toContain("most like “Gate”");
  expect(beginningInWords(true, "Gate")).toContain("Connected again.");
});

it("says why there is no picture", () => {
  expect(noVideoInWords("unsupported")).toContain("H.264");
  expect(noVideoInWords("broken")).toContain("keeps failing");
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

it("says before a start whether there is a place", () => {
  expect(placesInWords({ free: 1, queued: 0, eta: 0 })).toBeNull();
  expect(placesInWords({ free: 0, queued: 0, eta: 60 })).toBe(
    "All places are taken. You can start and wait, about 60 s.",
  );
  expect(placesInWords({ free: 0, queued: 3, eta: 200 })).toContain(
    "3 visitors wait. You can start and wait, about 3 min",
  );
});

it("says why a place went to somebody else", () => {
  expect(yieldedInWords("idle")).toContain("Press a key to queue again");
  expect(yieldedInWords("turn")).toContain("goes on when it is yours again");
});

it("says why a recording ends before its walk", () => {
  expect(recordingEndedInWords("limit")).toContain("as long as this server allows");
  expect(recordingEndedInWords("disk")).toContain("The walk goes on");
});

it("says why a walk is not saved, and what it has lost", () => {
  expect(unsavedInWords("full")).toBe("The server has no room: from here on your walk is not saved.");
  expect(unsavedInWords("new")).toBe("The server cannot write: from here on your walk is not saved.");
  expect(missingInWords(0)).toBeNull();
  expect(missingInWords(12.1)).toBe("Your walk goes on 12 s earlier: the rest was not saved.");
});

it("says that the place is back", () => {
  expect(seatedInWords(false)).toBe("You have your place back.");
  expect(seatedInWords(true)).toContain("still paused");
});
