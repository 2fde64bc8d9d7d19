/** The links that the walker gives to others: to watch the walk, and to walk on from here. */
import type { ClientMessage, Welcome } from "../net/protocol";

interface SharingParts {
  box: {
    open(canWatch: boolean, canWalkOn: boolean): void;
    show(link: string, meaning: string): Promise<void>;
    showSharing(isSharing: boolean): void;
    showCount(count: number): void;
    say(words: string): void;
  };
  send(message: ClientMessage): boolean;
  /** Ask for a copy of the walk; false if there is none. */
  keep(): boolean;
  watchLink(token: string): string;
  walkLink(id: string): string;
  say(words: string): void;
}

const CAN_WATCH = "Whoever has it sees your walk, until it ends or you stop sharing.";
const CAN_WALK_ON = "Whoever has it can walk on from this place.";

export class Sharing {
  private token: string | null = null;
  private numWatching = 0;
  /** Copy the link when it comes. Otherwise it is only made to work again. */
  private wantsLink = false;
  private wantsCopy = false;
  private canWatch = false;
  private canWalkOn = false;

  constructor(private readonly parts: SharingParts) {}

  /** The connection is there, or is back: what the server offers, and the link that others may have. */
  welcomed({ watchers = 0, snapshots = false }: Welcome, isWalking: boolean): void {
    this.canWatch = watchers > 0;
    this.canWalkOn = snapshots;
    this.wantsCopy = false;
    this.watchersChanged(0);
    if (isWalking && this.token !== null) this.parts.send({ type: "share", token: this.token });
  }

  /** After a reload the page does not know the link any more, but those who watch are still there. */
  private get isSharing(): boolean {
    return this.token !== null || this.numWatching > 0;
  }

  /** Open the box; false without anything to offer. */
  open(): boolean {
    if (!this.canWatch && !this.canWalkOn) return false;
    this.parts.box.showSharing(this.isSharing);
    this.parts.box.open(this.canWatch, this.canWalkOn);
    return true;
  }

  watch(): void {
    this.wantsLink = this.parts.send(
      this.token === null ? { type: "share" } : { type: "share", token: this.token },
    );
    if (!this.wantsLink) this.parts.box.say("There is no connection at the moment.");
  }

  stop(): void {
    this.parts.send({ type: "unshare" });
  }

  walkOn(): void {
    this.wantsCopy = this.parts.keep();
    if (!this.wantsCopy) this.parts.box.say("Walk a few steps first.");
  }

  /** The server has made a link, or ended it. */
  shared(token: string | undefined): void {
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

  /** The server refused something; it may have been the link. */
  refused(): void {
    this.wantsLink = false;
    this.wantsCopy = false;
  }
}
