/** The server's suggested prompts as a row of buttons, of which the one in force is pressed. */
import { make } from "./elements";
import type { PromptChoice } from "./prompt_choice";

/** The keys 1 to 9 choose the first nine. */
const NUM_KEYS = 9;

export class PromptChips {
  constructor(
    private readonly row: HTMLElement,
    private readonly choose: (prompt: string) => void,
  ) {}

  offer(choice: PromptChoice): void {
    const chips = choice.suggestions.map(({ title, prompt }, index) => {
      const chip = make("button", "chip", title);
      if (index < NUM_KEYS) {
        chip.append(" ", make("kbd", "", String(index + 1)));
        chip.setAttribute("aria-keyshortcuts", String(index + 1));
      }
      chip.type = "button";
      chip.title = prompt;
      chip.dataset.prompt = prompt;
      chip.addEventListener("click", () => this.choose(prompt));
      return chip;
    });
    this.row.replaceChildren(...chips);
    this.row.hidden = chips.length === 0;
  }

  /** `pressed` is the prompt in force or chosen; `asked` is the one that was sent and is not confirmed. */
  show(choice: PromptChoice, pressed: string, asked: string | null = null): void {
    const current = choice.lookOf(pressed)?.prompt;
    for (const chip of this.row.querySelectorAll<HTMLElement>(".chip")) {
      chip.ariaPressed = String(chip.dataset.prompt === current);
      chip.classList.toggle("asked", chip.dataset.prompt === asked);
    }
  }
}
