/** The line over the picture of somebody who watches: how many watch, and what can be done. */
import type { Watchers } from "../net/protocol";
import { make } from "../ui/elements";
import { bindFullScreen, toggleFullScreen } from "../ui/view_modes";
import { othersInWords } from "../ui/watch_words";

export class WatchLine {
  private readonly text = make("span", "");
  private readonly fullScreen = make("button", "", "Full screen");
  private readonly walk = make("a", "", "Walk yourself");
  private readonly element = make("nav", "", this.text, this.fullScreen, this.walk);

  constructor() {
    this.element.id = "watch-line";
    this.element.ariaLabel = "Watching";
    this.text.role = "status";
    this.fullScreen.type = "button";
    this.fullScreen.addEventListener("click", toggleFullScreen);
    this.walk.href = location.pathname + location.search;
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
