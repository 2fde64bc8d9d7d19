/** Changing the world in mid-walk: the suggested prompts and a field for one's own, over the picture. */
import { find } from "./elements";
import { PromptChips } from "./prompt_chips";
import type { PromptChoice } from "./prompt_choice";

export class PromptBar {
  private readonly form = find("prompt-bar", HTMLFormElement);
  private readonly field = find("live-prompt", HTMLInputElement);
  private readonly chips: PromptChips;
  private shown = "";

  constructor(ask: (prompt: string) => void) {
    this.chips = new PromptChips(find("live-chips", HTMLElement), ask);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const prompt = this.field.value.trim();
      this.field.blur();
      ask(prompt);
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation(); // it leaves the field, not the walk
      this.field.blur();
    });
    this.field.addEventListener("blur", () => this.restore());
  }

  offer(choice: PromptChoice, maxLength: number): void {
    this.field.maxLength = maxLength;
    this.form.classList.toggle("suggesting", choice.suggestions.length > 0);
    this.chips.offer(choice);
  }

  show(choice: PromptChoice): void {
    this.chips.show(choice, choice.current, choice.asked);
    const told = choice.asked ?? choice.current;
    this.shown = choice.suggested(told) === undefined ? told : "";
    this.field.classList.toggle("asked", choice.asked !== null && this.shown !== "");
    if (document.activeElement !== this.field) this.restore();
  }

  /** False where the field is not on screen. */
  focus(): boolean {
    if (!this.field.checkVisibility({ visibilityProperty: true })) return false;
    this.field.focus();
    this.field.select();
    return true;
  }

  /** What was typed and not sent is not what the world follows. */
  private restore(): void {
    this.field.value = this.shown;
  }
}
