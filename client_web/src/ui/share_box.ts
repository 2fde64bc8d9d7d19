/** The box in which the walker makes links: to watch, to see the video, and to walk on from here. */
import { copyText } from "./copy_text";
import { find } from "./elements";
import { countInWords } from "./watch_words";

interface ShareBoxEvents {
  /** Make the link by which others watch. */
  watch(): void;
  /** Let it work no more. */
  stop(): void;
  /** Make the link by which others see the video. */
  video(): void;
  /** Let it work no more. */
  stopVideo(): void;
  /** Keep the walk as it is, and make a link to that. */
  walkOn(): void;
}

/** The links that the server offers. */
export interface Offer {
  watch: boolean;
  video: boolean;
  walkOn: boolean;
}

export class ShareBox {
  private readonly dialog = find("share", HTMLDialogElement);
  private readonly link = find("share-link", HTMLInputElement);
  private readonly said = find("share-said", HTMLElement);
  private readonly stop = find("share-stop", HTMLButtonElement);
  private readonly stopVideo = find("share-stop-video", HTMLButtonElement);
  private readonly parts: Readonly<Record<keyof Offer, HTMLElement>> = {
    watch: find("share-watch", HTMLElement),
    video: find("share-video", HTMLElement),
    walkOn: find("share-walk-on", HTMLElement),
  };
  private readonly count = find("watchers", HTMLElement);

  constructor(events: ShareBoxEvents) {
    const bind = (id: string, run: () => void): void =>
      find(id, HTMLButtonElement).addEventListener("click", run);
    bind("share-copy-watch", () => events.watch());
    bind("share-copy-video", () => events.video());
    bind("share-copy-walk-on", () => events.walkOn());
    bind("share-close", () => this.dialog.close());
    this.stop.addEventListener("click", () => events.stop());
    this.stopVideo.addEventListener("click", () => events.stopVideo());
    // The keys are for this box, and do not steer.
    this.dialog.addEventListener("keydown", (event) => event.stopPropagation());
    this.link.addEventListener("focus", () => this.link.select());
  }

  get isOpen(): boolean {
    return this.dialog.open;
  }

  open(offer: Offer): void {
    for (const name of ["watch", "video", "walkOn"] as const) this.parts[name].hidden = !offer[name];
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

  /** Whether others can see the video. */
  showVideoShared(isShared: boolean): void {
    this.stopVideo.hidden = !isShared;
  }

  /** The link that was shown works no more. */
  hideLink(): void {
    this.link.hidden = true;
  }

  showCount(count: number): void {
    this.count.textContent = countInWords(count);
  }

  say(words: string): void {
    this.said.textContent = words;
  }
}
