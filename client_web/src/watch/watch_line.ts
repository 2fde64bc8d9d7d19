/** The line over the picture of somebody who watches: how many watch, and what can be done. */
import type { Watchers } from "../net/protocol";
import { make } from "../ui/elements";
import { bindFullScreen, toggleFullScreen } from "../ui/view_modes";
import { othersInWords } from "../ui/watch_words";

export class WatchLine {
  private readonly text = make("span", "");
  private readonly fullScreen = make("button", "", "Full screen");
  private readonly walk = make("button", "", "Walk yourself");
  private readonly element = make("nav", "", this.text, this.fullScreen, this.walk);

  constructor(walk: () => void) {
    this.element.id = "watch-line";
    this.element.ariaLabel = "Watching";
    this.text.role = "status";
    for (const button of [this.fullScreen, this.walk]) button.type = "button";
    this.fullScreen.addEventListener("click", toggleFullScreen);
    this.walk.addEventListener("click", walk);
    bindFullScreen([this.fullScreen]);
    document.body.append(this.element);
  }

  show(watchers: Watchers): void {
    this.text.textContent = othersInWords(watchers);
  }

  hide(): void {
    this.text.textContent = "";
  }
}
