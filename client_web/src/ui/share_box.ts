/** The box in which the walker makes links: to watch, and to walk on from here. */
import { copyText } from "./copy_text";
import { find } from "./elements";
import { countInWords } from "./watch_words";

interface ShareBoxEvents {
  /** Make the link by which others watch. */
  watch(): void;
  /** Let it work no more. */
  stop(): void;
  /** Keep the walk as it is, and make a link to that. */
  walkOn(): void;
}

export class ShareBox {
  private readonly dialog = find("share", HTMLDialogElement);
  private readonly link = find("share-link", HTMLInputElement);
  private readonly said = find("share-said", HTMLElement);
  private readonly stop = find("share-stop", HTMLButtonElement);
  private readonly watchPart = find("share-watch", HTMLElement);
  private readonly walkOnPart = find("share-walk-on", HTMLElement);
  private readonly count = find("watchers", HTMLElement);

  constructor(events: ShareBoxEvents) {
    const bind = (id: string, run: () => void): void =>
      find(id, HTMLButtonElement).addEventListener("click", run);
    bind("share-copy-watch", () => events.watch());
    bind("share-copy-walk-on", () => events.walkOn());
    bind("share-close", () => this.dialog.close());
    this.stop.addEventListener("click", () => events.stop());
    // The keys are for this box, and do not steer.
    this.dialog.addEventListener("keydown", (event) => event.stopPropagation());
    this.link.addEventListener("focus", () => this.link.select());
  }

  open(canWatch: boolean, canWalkOn: boolean): void {
    this.watchPart.hidden = !canWatch;
    this.walkOnPart.hidden = !canWalkOn;
    this.say("");
    this.dialog.showModal();
  }

  /** Show a link that was made, and copy it. */
  async show(link: string, meaning: string): Promise<void> {
    this.link.hidden = false;
    this.link.value = link;
    const isCopied = await copyText(link);
    this.say(`${isCopied ? "The link is copied." : "Copy this link."} ${meaning}`);
    if (!isCopied) this.link.focus();
  }

  /** Whether others can watch at the moment. */
  showSharing(isSharing: boolean): void {
    this.stop.hidden = !isSharing;
    this.link.hidden ||= !isSharing;
  }

  showCount(count: number): void {
    this.count.textContent = countInWords(count);
  }

  say(words: string): void {
    this.said.textContent = words;
  }
}
