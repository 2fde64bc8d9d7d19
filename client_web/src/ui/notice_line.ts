/** The notice's line on the page. */
import { find, make } from "./elements";
import type { NoticeAction, NoticeLine } from "./notice";

/** The duration of the fade in styles/notice.css. */
const FADE_MS = 200;

export class PageLine implements NoticeLine {
  private readonly element = find("notice", HTMLElement);
  private readonly text = make("span", "");
  /** One button for all actions, so that it keeps the focus when the action changes. */
  private readonly button = make("button", "");
  private action: NoticeAction | undefined;
  private fading: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.button.type = "button";
    this.button.addEventListener("click", () => this.action?.run?.());
    this.element.replaceChildren(this.text, this.button);
    this.empty();
  }

  show(text: string, action?: NoticeAction): void {
    clearTimeout(this.fading);
    this.element.role = action === undefined ? "status" : "alert";
    if (this.text.textContent !== text) this.text.textContent = text;
    this.action = action;
    this.button.hidden = action === undefined;
    if (action !== undefined) this.button.textContent = action.label;
    this.button.ariaDisabled = String(action !== undefined && action.run === undefined);
    this.element.classList.add("visible");
  }

  hide(): void {
    this.element.classList.remove("visible");
    clearTimeout(this.fading);
    this.fading = setTimeout(() => this.empty(), FADE_MS);
  }

  /** Otherwise a screen reader would still find the text. */
  private empty(): void {
    this.action = undefined;
    this.text.textContent = "";
    this.button.hidden = true;
  }
}
