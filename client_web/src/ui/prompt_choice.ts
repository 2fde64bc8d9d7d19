/** Which prompt the world follows and which one was asked for: pure state. */
import type { Suggestion } from "../net/protocol";

export class PromptChoice {
  suggestions: readonly Suggestion[] = [];
  /** The prompt in force, as the server confirmed it or the walk began with it. Empty if there is none. */
  current = "";
  /** Sent, and not yet confirmed. */
  asked: string | null = null;
  /** Title of the suggestion whose look the current prompt gave, where the world knows only those. */
  takenAs: string | null = null;

  /** `changed` shows it. */
  constructor(private readonly changed: () => void = () => undefined) {}

  /** A walk begins. A prompt asked of the previous walk no longer counts. */
  begin(prompt: string): void {
    this.current = prompt;
    this.asked = null;
    this.takenAs = null;
    this.changed();
  }

  ask(prompt: string): void {
    this.asked = prompt;
    this.changed();
  }

  confirm(prompt: string, takenAs: string | null = null): void {
    this.current = prompt;
    this.takenAs = takenAs;
    if (this.asked === prompt) this.asked = null;
    this.changed();
  }

  refuse(): void {
    this.asked = null;
    this.changed();
  }

  /** The prompt that a digit key chooses. */
  suggestionAt(code: string): string | undefined {
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(code)?.[1];
    return digit === undefined ? undefined : this.suggestions[Number(digit) - 1]?.prompt;
  }

  /** The suggestion with this prompt. By the protocol, the empty prompt means the first one. */
  suggested(prompt: string): Suggestion | undefined {
    if (prompt === "") return this.suggestions[0];
    return this.suggestions.find((each) => each.prompt === prompt);
  }

  /** The suggestion that the world looks like under a prompt. */
  lookOf(prompt: string): Suggestion | undefined {
    const taken = prompt === this.current ? this.takenAs : null;
    return this.suggested(prompt) ?? this.suggestions.find((each) => each.title === taken);
  }
}
