/** A text field over the picture: shows the prompt in force, and sends another one. */
import { isComposing } from "../input/keyboard";

export interface TextField extends EventTarget {
  value: string;
  blur(): void;
  /** Of an element. */
  readonly ownerDocument?: { readonly activeElement: unknown };
}

export class PromptField {
  private shown = "";
  private isEdited = false;

  /** `ask` says whether the prompt could be sent. */
  constructor(
    form: EventTarget,
    private readonly field: TextField,
    private readonly ask: (prompt: string) => boolean,
  ) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    field.addEventListener("keydown", (event) => this.keyDown(event as KeyboardEvent));
    field.addEventListener("focus", () => {
      this.isEdited = true;
    });
    field.addEventListener("blur", () => {
      if (field.ownerDocument?.activeElement === field) return; // the window lost the focus, not the field
      this.isEdited = false;
      // Text that was not sent is not in force, so the field shows the prompt that is.
      field.value = this.shown;
    });
  }

  /** Show a prompt, unless the visitor is typing another one. */
  show(prompt: string): void {
    this.shown = prompt;
    if (!this.isEdited) this.field.value = prompt;
  }

  private submit(): void {
    const prompt = this.field.value.trim();
    // Enter without a change goes back to the walk. A prompt that could not be sent stays in the field.
    if (prompt === this.shown || this.ask(prompt)) this.field.blur();
  }

  private keyDown(event: KeyboardEvent): void {
    if (event.key !== "Escape" || isComposing(event)) return;
    event.stopPropagation(); // it leaves the field, not the walk
    this.field.blur();
  }
}
