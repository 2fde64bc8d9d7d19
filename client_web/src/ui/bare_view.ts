/** Nothing but the picture: whoever moves the mouse or touches it then finds the way back. */
import { find } from "./elements";

const SHOWN_MS = 3_000;

export class BareView {
  private readonly button = find("show", HTMLButtonElement);
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    for (const type of ["pointermove", "pointerdown"]) document.addEventListener(type, () => this.reveal());
  }

  /** True when the page is bare now. */
  toggle(): boolean {
    const isBare = document.body.classList.toggle("bare");
    this.button.classList.remove("revealed");
    return isBare;
  }

  private reveal(): void {
    const isLooking = Boolean(document.pointerLockElement); // undefined where no mouse can be caught
    if (isLooking || !document.body.classList.contains("bare")) return;
    this.button.classList.add("revealed");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.button.classList.remove("revealed"), SHOWN_MS);
  }
}
