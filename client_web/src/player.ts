/** Plays fragments in a video element the moment they come, and keeps to the live edge. */
import { AppendQueue } from "./append_queue";
import { LiveEdge } from "./live_edge";
import type { Media } from "./protocol";
import { type PlacedFrame, Timeline } from "./timeline";

export interface ShownFrame extends PlacedFrame {
  /** Page clock at which the browser expects the picture to be visible. */
  shownAt: number;
}

export interface PlayerEvents {
  /** New frames are due: running dry now is a stall. */
  isExpecting(): boolean;
  shown(frame: ShownFrame): void;
  stalled(): void;
  /** The video broke off and is begun anew. */
  failed(message: string): void;
  /** There will be no picture, unless another `open` brings one. */
  gaveUp(reason: "unsupported" | "broken", message: string): void;
  /** The browser plays nothing before the visitor does something. */
  needsGesture(): void;
  playing(): void;
}

declare global {
  interface Window {
    ManagedMediaSource?: typeof MediaSource;
  }
}

const KEEP_BEHIND_S = 4;
const REMOVE_EVERY_S = 4;
const STALL_MS = 80;
/** So many failures within so long, and beginning anew is no use. */
const NUM_FAILURES = 3;
const FAILURES_MS = 10_000;

function mediaSourceClass(): typeof MediaSource | undefined {
  return window.MediaSource ?? window.ManagedMediaSource;
}

/** What this browser lacks to play a walk; null when nothing. */
export function missingFeature(): string | null {
  if (mediaSourceClass() === undefined) return "Media Source Extensions";
  if (!("requestVideoFrameCallback" in HTMLVideoElement.prototype)) return "video frame callbacks";
  return null;
}

export class Player {
  numShown = 0;
  numReceived = 0;
  numStalls = 0;
  numSkips = 0;
  numSourceErrors = 0;
  mime = "";
  private source: MediaSource | null = null;
  private queue: AppendQueue | null = null;
  private init: Uint8Array<ArrayBuffer> | null = null;
  private removedTo = 0;
  private appliedOffset = 0;
  private numPresented = 0;
  private failedAtMs: number[] = [];
  private stallTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly timeline = new Timeline();
  private readonly edge = new LiveEdge();

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly events: PlayerEvents,
  ) {
    video.muted = true;
    video.playsInline = true;
    // ManagedMediaSource refuses to open where the video might move to another device.
    video.disableRemotePlayback = true;
    video.addEventListener("waiting", () => this.ranDry());
    video.addEventListener("playing", () => this.hasBegun());
    video.addEventListener("pause", () => !document.hidden && this.play());
    // An error of a source that was replaced or given up meanwhile is no news.
    video.addEventListener(
      "error",
      () => video.error && this.queue !== null && this.fail(video.error.message),
    );
    this.watchFrames();
  }

  /** Media seconds handed to the browser and not yet played. */
  get leadS(): number {
    return Math.max(0, this.timeline.end - this.video.currentTime);
  }

  get playbackRate(): number {
    return this.video.playbackRate;
  }

  /** The playhead on the server's timeline. */
  get shownS(): number {
    return this.timeline.toServer(Math.min(this.video.currentTime, this.timeline.end));
  }

  /** The picture stands still for want of frames. Browsers say so when the last frame goes up, not when it has ended. */
  private get isDry(): boolean {
    return this.video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
  }

  /** A new initialisation segment: the first one, another walk, or another session. */
  open(mime: string, data: Uint8Array<ArrayBuffer>): void {
    const sameType = mime === this.mime;
    this.mime = mime;
    this.init = data;
    this.edge.forget();
    this.failedAtMs = [];
    if (this.source === null || this.source.readyState === "ended") return this.build();
    if (!sameType) this.queue?.changeType(mime);
    this.queue?.append(data);
  }

  append(media: Media, receivedAt: number): void {
    this.numReceived += 1;
    if (this.queue === null) return;
    const leadS = this.leadS;
    // Only the first of a burst ends the standstill; the others wait for their turn.
    const starved = this.isDry && leadS <= media.duration;
    const placed = this.timeline.place(media, starved);
    if (placed === null) return;
    this.applyOffset(this.queue);
    this.queue.append(media.data);
    this.edge.arrived(receivedAt, leadS);
    this.keepToEdge(receivedAt);
  }

  /** Frames of another session follow; what is buffered of the last one plays out first. */
  newSession(): void {
    this.timeline.newSession();
    this.edge.forget();
  }

  /** Start playing as early as possible: the browser then shows the first frame without further ado. */
  play(): void {
    this.video.play().catch((error: unknown) => this.playRefused(error));
  }

  /** Within a gesture of the visitor's, without which some browsers play nothing. */
  playInGesture(): void {
    if (this.video.paused) this.play();
  }

  /** The page is in sight again; the browser may have held the video meanwhile. */
  returned(): void {
    this.skip(this.edge.skipOnReturn(this.leadS));
    this.play();
  }

  private playRefused(error: unknown): void {
    const isForbidden = error instanceof DOMException && error.name === "NotAllowedError";
    // What was refused in a hidden tab is asked for again when it comes back.
    if (isForbidden && !document.hidden && this.source !== null) this.events.needsGesture();
  }

  private hasBegun(): void {
    clearTimeout(this.stallTimer);
    this.events.playing();
  }

  private applyOffset(queue: AppendQueue): void {
    if (this.timeline.offset === this.appliedOffset) return;
    this.appliedOffset = this.timeline.offset;
    queue.setOffset(this.appliedOffset);
  }

  private build(): void {
    const Source = mediaSourceClass();
    if (Source === undefined || !Source.isTypeSupported(this.mime)) {
      return this.giveUp("unsupported", `this browser cannot play ${this.mime}`);
    }
    const source = new Source();
    const queue = new AppendQueue((message) => this.queue === queue && this.fail(message));
    this.source = source;
    this.queue = queue;
    this.removedTo = 0;
    this.appliedOffset = 0;
    this.timeline.restart();
    if (this.init !== null) queue.append(this.init);
    source.addEventListener("sourceopen", () => this.sourceOpened(source, queue), { once: true });
    this.video.src = URL.createObjectURL(source);
    this.play();
  }

  private sourceOpened(source: MediaSource, queue: AppendQueue): void {
    if (this.source !== source) return;
    URL.revokeObjectURL(this.video.src);
    try {
      queue.attach(source.addSourceBuffer(this.mime));
    } catch (error) {
      this.fail(String(error));
    }
  }

  private fail(message: string): void {
    this.numSourceErrors += 1;
    const now = performance.now();
    this.failedAtMs = [...this.failedAtMs.filter((earlier) => now - earlier < FAILURES_MS), now];
    if (this.failedAtMs.length >= NUM_FAILURES) return this.giveUp("broken", message);
    this.events.failed(message);
    this.build();
  }

  private giveUp(reason: "unsupported" | "broken", message: string): void {
    this.source = null;
    this.queue = null;
    this.events.gaveUp(reason, message);
  }

  /** The last frame just went up; it is a stall when the next one is late by more than a frame. */
  private ranDry(): void {
    clearTimeout(this.stallTimer);
    if (this.video.seeking || this.numShown === 0) return;
    this.stallTimer = setTimeout(() => this.stalled(), STALL_MS);
  }

  private stalled(): void {
    if (!this.isDry || document.hidden || !this.events.isExpecting()) return;
    this.numStalls += 1;
    this.edge.forget();
    this.events.stalled();
  }

  private keepToEdge(nowMs: number): void {
    const { rate, skipS } = this.edge.decide(nowMs);
    if (this.video.playbackRate !== rate) this.video.playbackRate = rate;
    this.skip(skipS);
    this.removeBehind();
  }

  private skip(seconds: number): void {
    if (seconds <= 0) return;
    this.numSkips += 1;
    this.video.currentTime += seconds;
    this.edge.forget();
  }

  private removeBehind(): void {
    const end = this.video.currentTime - KEEP_BEHIND_S;
    if (end - this.removedTo < REMOVE_EVERY_S) return;
    this.queue?.removeBefore(end);
    this.removedTo = end;
  }

  private watchFrames(): void {
    this.video.requestVideoFrameCallback((_now, metadata) => {
      this.watchFrames();
      this.countShown(metadata.presentedFrames);
      const frame = this.timeline.frameAt(metadata.mediaTime);
      if (frame !== undefined) this.events.shown({ ...frame, shownAt: metadata.expectedDisplayTime });
    });
  }

  /** The browser's own count, which also knows the frames whose callback came too late; it starts anew per source. */
  private countShown(presented: number): void {
    this.numShown += presented >= this.numPresented ? presented - this.numPresented : presented;
    this.numPresented = presented;
  }
}
