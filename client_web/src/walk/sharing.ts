/** The links that the walker gives to others: to watch the walk, to see its video, and to walk on from here. */
import type { ClientMessage, Welcome } from "../net/protocol";
import type { Offer } from "../ui/share_box";
import { NO_CONNECTION } from "../ui/words";

interface SharingParts {
  box: {
    open(offer: Offer): void;
    show(link: string, meaning: string): Promise<void>;
    showSharing(isSharing: boolean): void;
    showVideoShared(isShared: boolean): void;
    hideLink(): void;
    showCount(count: number): void;
    say(words: string): void;
  };
  send(message: ClientMessage): boolean;
  /** The walk is open and has a chunk. Before that, any refusal counts as that of the start. */
  hasChunks(): boolean;
  /** Ask for a copy of the walk; false if there is none. */
  keep(): boolean;
  watchLink(token: string): string;
  videoLink(token: string): string;
  walkLink(id: string): string;
  say(words: string): void;
}

const WALK_FIRST = "Walk a few steps first.";
const CAN_WATCH = "Whoever has it sees your walk, until it ends or you stop sharing.";
const CAN_SEE_VIDEO =
  "Whoever has it sees the video of this walk, and where it went, for as long as the server keeps it.";
const CAN_WALK_ON = "Whoever has it can walk on from this place.";

export class Sharing {
  private token: string | null = null;
  private numWatching = 0;
  /** Copy the link when it comes. Otherwise it is only made to work again. */
  private wantsLink = false;
  private wantsCopy = false;
  private wantsVideo = false;
  private offer: Offer = { watch: false, video: false, walkOn: false };

  constructor(private readonly parts: SharingParts) {}

  /** The connection is there, or is back: what the server offers, and the link that others may have. */
  welcomed({ watchers = 0, snapshots = false, rights = [] }: Welcome, isWalking: boolean): void {
    this.offer = { watch: watchers > 0, video: rights.includes("recording"), walkOn: snapshots };
    this.watchersChanged(0);
    if (isWalking) this.askAgain();
    else this.wantsLink = this.wantsCopy = this.wantsVideo = false;
  }

  /** What was not answered may have been lost. */
  private askAgain(): void {
    if (this.wantsLink) this.watch();
    else if (this.token !== null) this.parts.send({ type: "share", token: this.token });
    if (this.wantsVideo) this.video();
    if (this.wantsCopy) this.walkOn();
  }

  /** After a reload the page does not know the link any more, but those who watch are still there. */
  private get isSharing(): boolean {
    return this.token !== null || this.numWatching > 0;
  }

  /** Open the box; false without anything to offer. */
  open(): boolean {
    if (!Object.values(this.offer).some(Boolean)) return false;
    this.parts.box.showSharing(this.isSharing);
    this.parts.box.open(this.offer);
    return true;
  }

  watch(): void {
    this.wantsLink = this.parts.send(
      this.token === null ? { type: "share" } : { type: "share", token: this.token },
    );
    if (!this.wantsLink) this.parts.box.say(NO_CONNECTION);
  }

  stop(): void {
    if (!this.parts.send({ type: "unshare" })) this.parts.box.say(NO_CONNECTION);
  }

  video(): void {
    if (!this.parts.hasChunks()) return this.parts.box.say(WALK_FIRST);
    this.wantsVideo = this.parts.send({ type: "share", right: "recording" });
    if (!this.wantsVideo) this.parts.box.say(NO_CONNECTION);
  }

  stopVideo(): void {
    if (!this.parts.send({ type: "unshare", right: "recording" })) this.parts.box.say(NO_CONNECTION);
  }

  walkOn(): void {
    if (!this.parts.hasChunks()) return this.parts.box.say(WALK_FIRST);
    this.wantsCopy = this.parts.keep();
    if (!this.wantsCopy) this.parts.box.say(NO_CONNECTION);
  }

  /** The server has made a link, or ended it. */
  shared(token: string | undefined, right: string | undefined): void {
    if (right === "recording") this.videoShared(token);
    else this.watchShared(token);
  }

  private videoShared(token: string | undefined): void {
    const { box } = this.parts;
    this.wantsVideo = false;
    box.showVideoShared(token !== undefined);
    if (token !== undefined) return void box.show(this.parts.videoLink(token), CAN_SEE_VIDEO);
    box.hideLink();
    box.say("The link to the video works no more.");
  }

  /** Another walk begins. A link to the video of the one before shows nothing any more. */
  begun(): void {
    this.parts.box.showVideoShared(false);
  }

  private watchShared(token: string | undefined): void {
    const before = this.token;
    this.token = token ?? null;
    if (token === undefined) this.watchersChanged(0);
    this.parts.box.showSharing(this.isSharing);
    if (token === undefined) return this.parts.box.say("Nobody can watch any more.");
    if (this.wantsLink) void this.parts.box.show(this.parts.watchLink(token), CAN_WATCH);
    else if (before !== null && before !== token)
      this.parts.say("The link to watch your walk is a new one now: share it again.");
    this.wantsLink = false;
  }

  watchersChanged(count: number): void {
    this.numWatching = count;
    this.parts.box.showCount(count);
  }

  /** The walk was kept; true if it was for a link. */
  kept(id: string): boolean {
    if (!this.wantsCopy) return false;
    this.wantsCopy = false;
    void this.parts.box.show(this.parts.walkLink(id), CAN_WALK_ON);
    return true;
  }

  /** The server refused something; it may have been the link. The box covers what is said elsewhere. */
  refused(words: string): void {
    this.parts.box.say(words);
    this.wantsLink = this.wantsCopy = this.wantsVideo = false;
  }
}
