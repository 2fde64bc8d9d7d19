/** One line for the visitor: passing remarks, and states that stay until they end. */
import { find, make } from "./elements";

const PASSING_MS = 4_000;

export class Notice {
  private readonly element = find("notice", HTMLElement);
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Say something for a few seconds. */
  say(text: string): void {
    this.stay(text);
    this.timer = setTimeout(() => this.clear(), PASSING_MS);
  }

  /** Say something until `clear`, with one thing to do about it at most. */
  stay(text: string, action?: { label: string; run(): void }): void {
    clearTimeout(this.timer);
    this.element.replaceChildren(text);
    if (action !== undefined) {
      const button = make("button", "", action.label);
      button.addEventListener("click", () => action.run());
      this.element.append(button);
    }
    this.element.classList.add("visible");
  }

  clear(): void {
    clearTimeout(this.timer);
    this.element.classList.remove("visible");
  }
}
