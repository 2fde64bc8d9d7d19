import { beforeEach, expect, it } from "vitest";
import { PromptChoice } from "../../src/ui/prompt_choice";

const DAY = { title: "Day", prompt: "a sunny day" };
const NIGHT = { title: "Night", prompt: "at night" };

let choice: PromptChoice;
beforeEach(() => {
  choice = new PromptChoice();
  choice.suggestions = [DAY, NIGHT];
});

it("takes no prompt for the first suggestion", () => {
  expect(choice.suggested("")).toBe(DAY);
  expect(choice.suggested("at night")).toBe(NIGHT);
  expect(choice.suggested("in the fog")).toBeUndefined();
});

it("lets the digits of both rows press the suggestions", () => {
  expect(["Digit1", "Numpad2", "Digit3", "KeyW"].map((code) => choice.suggestionAt(code))).toEqual([
    "a sunny day",
    "at night",
    undefined,
    undefined,
  ]);
});

it("suggests nothing where the server does not", () => {
  choice.suggestions = [];
  expect(choice.suggested("")).toBeUndefined();
});

it("follows what was asked only when the server confirms it", () => {
  choice.ask("at night");
  expect([choice.current, choice.asked]).toEqual(["", "at night"]);
  choice.confirm("at night");
  expect([choice.current, choice.asked]).toEqual(["at night", null]);
});

it("still waits for the newest of two that were asked", () => {
  choice.ask("at night");
  choice.ask("a sunny day");
  choice.confirm("at night");
  expect([choice.current, choice.asked]).toEqual(["at night", "a sunny day"]);
});

it("keeps what is in force when a change is refused", () => {
  choice.begin("at night");
  choice.ask("in the fog");
  choice.refuse();
  expect([choice.current, choice.asked]).toEqual(["at night", null]);
});

it("forgets what was asked of the walk before", () => {
  choice.ask("at night");
  choice.begin("");
  expect([choice.current, choice.asked]).toEqual(["", null]);
});

it("knows what the world looks like under a prompt that it took as another", () => {
  choice.confirm("a volcano", "Night");
  expect(choice.suggested("a volcano")).toBeUndefined();
  expect(choice.lookOf("a volcano")).toBe(NIGHT);
  expect(choice.lookOf("in the fog")).toBeUndefined();
  choice.confirm("in the fog");
  expect(choice.lookOf("in the fog")).toBeUndefined();
});
