/** Changes the world during a walk: the suggested prompts and a text field, over the picture. */
import { find, isOnScreen } from "./elements";
import { PromptChips } from "./prompt_chips";
import type { PromptChoice } from "./prompt_choice";
import { PromptField } from "./prompt_field";

export class PromptBar {
  private readonly form = find("prompt-bar", HTMLFormElement);
  private readonly input = find("live-prompt", HTMLInputElement);
  private readonly field: PromptField;
  private readonly chips: PromptChips;

  /** `ask` says whether the prompt could be sent. */
  constructor(ask: (prompt: string) => boolean) {
    this.chips = new PromptChips(find("live-chips", HTMLElement), ask);
    this.field = new PromptField(this.form, this.input, ask);
  }

  offer(choice: PromptChoice, maxLength: number): void {
    this.input.maxLength = maxLength;
    this.form.classList.toggle("suggesting", choice.suggestions.length > 0);
    this.chips.offer(choice);
  }

  show(choice: PromptChoice): void {
    this.chips.show(choice, choice.current, choice.asked);
    const told = choice.asked ?? choice.current;
    const typed = choice.suggested(told) === undefined ? told : "";
    this.input.classList.toggle("asked", choice.asked !== null && typed !== "");
    this.field.show(typed);
  }

  /** False where the field is not on screen. */
  focus(): boolean {
    if (!isOnScreen(this.input)) return false;
    this.input.focus();
    this.input.select();
    return true;
  }
}
