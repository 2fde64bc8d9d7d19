/** Ways to see more of the picture: without anything over it, and over the whole screen. */
import { find } from "./elements";

const SHOWN_MS = 3_000;

/** Shows only the picture. Moving the mouse or touching the picture shows the way back. */
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

/** Buttons for full screen: pressed while it is on, hidden where there is none, as on iPhones. */
export function bindFullScreen(buttons: Iterable<HTMLElement>): void {
  const all = [...buttons];
  for (const button of all) button.hidden = !document.fullscreenEnabled;
  document.addEventListener("fullscreenchange", () => {
    for (const button of all) button.ariaPressed = String(document.fullscreenElement !== null);
  });
}

export function toggleFullScreen(): void {
  if (!document.fullscreenEnabled) return;
  const isFull = document.fullscreenElement !== null;
  const done = isFull ? document.exitFullscreen() : document.documentElement.requestFullscreen();
  // Refused without a gesture, as for a key that came from a script.
  done.catch(() => undefined);
}
