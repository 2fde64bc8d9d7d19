/** Plays fragments in a video element the moment they come, and keeps to the live edge. */

import type { Media } from "../net/protocol";
import { LiveEdge } from "./live_edge";
import { Reserve } from "./reserve";
import { mediaSourceClass, Source } from "./source";
import { Standstill } from "./standstill";
import { type PlacedFrame, Timeline } from "./timeline";

export interface ShownFrame extends PlacedFrame {
  /** Page clock at which the browser expects the picture to be visible. */
  shownAt: number;
}

/** A video as far as it came. */
export interface OpenVideo {
  mime: string;
  init: Uint8Array<ArrayBuffer>;
  /** Media time on the server's timeline. */
  receivedS: number;
}

interface PlayerEvents {
  /** New frames are due: an empty buffer is a stall now. */
  isExpecting(): boolean;
  shown(frame: ShownFrame): void;
  stalled(): void;
  /** Playback jumped over frames after a standstill. */
  jumped(): void;
  /** The video failed, and begins again. */
  failed(message: string): void;
  /** There will be no picture for now. */
  gaveUp(reason: "unsupported" | "broken", message: string): void;
  /** The browser plays nothing before the visitor does something. */
  needsGesture(): void;
  playing(): void;
}

const CHECK_MS = 100;
const KEEP_BEHIND_S = 4;
const REMOVE_EVERY_S = 4;
const STALL_MS = 80;
/** In an underrun the playhead goes a little past the end. Further past it, new media would never be shown. */
const PAST_END_S = 0.15;
/** With less than this left, everything is played: the browser may drop the last frame. */
const PLAYED_OUT_S = 0.1;
const ROUNDING_S = 0.01;

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
  numRebuilds = 0;
  private removedTo = 0;
  private numPresented = 0;
  /** Element time of the newest frame on screen. */
  private presentedTo = 0;
  /** Media arrived, and no frame was presented since. */
  private hasNews = false;
  private isRefused = false;
  /** By how much playback hurries to the live edge. */
  private hurry = 1;
  /** Below 1, the video plays in slow motion. */
  private speed = 1;
  private stallTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly source: Source;
  private readonly timeline = new Timeline();
  private readonly edge = new LiveEdge();
  private readonly reserve = new Reserve();
  private readonly standstill = new Standstill();

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly events: PlayerEvents,
  ) {
    video.muted = true;
    video.playsInline = true;
    // ManagedMediaSource refuses to open where the video might move to another device.
    video.disableRemotePlayback = true;
    this.source = new Source(video, {
      rebuilt: () => this.rebuilt(),
      appended: () => this.appended(),
      removableTo: () => this.removableTo(this.playedTo),
      failed: (message) => events.failed(message),
      gaveUp: (reason, message) => events.gaveUp(reason, message),
    });
    video.addEventListener("waiting", () => this.underrun());
    video.addEventListener("playing", () => this.hasBegun());
    video.addEventListener("pause", () => !document.hidden && this.play());
    setInterval(() => this.check(performance.now()), CHECK_MS);
    this.watchFrames();
  }

  get mime(): string {
    return this.source.mime;
  }

  get numSourceErrors(): number {
    return this.source.numFailures;
  }

  /** Media seconds not yet played. None during a standstill, when nobody sees them. */
  get bufferedS(): number {
    return this.standstill.isOn ? 0 : Math.max(0, this.aheadS);
  }

  /** Play at this speed from now on. */
  setSpeed(speed: number): void {
    this.speed = speed;
    this.keepRate();
  }

  private get rate(): number {
    return this.speed * this.hurry;
  }

  /** Media seconds that should be buffered when a fragment arrives. */
  get liveEdgeS(): number {
    return this.edge.wantedS(performance.now());
  }

  /** Media seconds that the server should keep buffered here. */
  get reserveS(): number {
    return this.reserve.wantedS(performance.now());
  }

  get playbackRate(): number {
    return this.video.playbackRate;
  }

  /** The playhead on the server's timeline. */
  get shownS(): number {
    return this.timeline.toServer(Math.min(this.video.currentTime, this.timeline.end));
  }

  /** Underrun: there is no next frame. Browsers report it when the last frame appears, not when it ends. */
  private get isUnderrun(): boolean {
    return this.video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
  }

  /** Negative when the playhead is past the end. */
  private get aheadS(): number {
    return this.timeline.end - this.video.currentTime;
  }

  /** The decoder needs nothing before this time. The playhead alone does not tell: it may be ahead of the decoder. */
  private get playedTo(): number {
    return Math.min(this.video.currentTime, this.presentedTo);
  }

  /** A new initialisation segment: the first one, another walk, or another session. */
  open(mime: string, data: Uint8Array<ArrayBuffer>): void {
    this.forgetArrivals();
    this.standstill.forget();
    this.source.open(mime, data);
  }

  /** Go on with a video that another page had open, up to `receivedS` on the server's timeline. */
  continueFrom({ mime, init, receivedS }: OpenVideo): void {
    this.timeline.continueFrom(receivedS);
    this.open(mime, init);
  }

  /** Number of the newest key frame that came; null if none did. */
  get newestKeyFrame(): number | null {
    return this.timeline.newestKeyFrame;
  }

  /** What another page needs to go on with the video; null if none is open. */
  get openVideo(): OpenVideo | null {
    const { mime, init } = this.source;
    return init === null ? null : { mime, init, receivedS: this.timeline.receivedTo };
  }

  append(media: Media, receivedAt: number): void {
    this.numReceived += 1;
    if (!this.source.isOpen) return this.timeline.miss(media);
    const bufferedS = Math.max(0, this.aheadS);
    // Only the first frame of a burst ends the underrun; the others wait for their time.
    const starved = this.isUnderrun && bufferedS <= media.duration;
    const queuedMs = (bufferedS * 1_000) / this.rate;
    const placed = this.timeline.place(media, { arrivedAt: receivedAt, queuedMs, starved });
    if (placed === null) return;
    this.hasNews = true;
    this.source.append(media.data, this.timeline.offset);
    this.noteArrival(receivedAt, bufferedS, media.duration);
    this.keepToEdge(receivedAt);
  }

  private noteArrival(nowMs: number, bufferedS: number, frameS: number): void {
    if (this.isInterrupted) return this.forgetArrivals();
    this.edge.arrived(nowMs, bufferedS, frameS, this.rate);
    this.reserve.arrived(nowMs, bufferedS, frameS, this.rate);
  }

  /** The server sends nothing for now, or nobody sees what it sends. */
  private get isInterrupted(): boolean {
    return document.hidden || !this.events.isExpecting();
  }

  /** Frames of another session follow, after what is still buffered. */
  newSession(): void {
    this.timeline.newSession();
    this.forgetArrivals();
  }

  /** Play before there is media, so that the browser shows the first frame at once. */
  play(): void {
    this.isRefused = false;
    this.video.play().catch((error: unknown) => this.playRefused(error));
  }

  /** Call this within a gesture: some browsers play nothing before the first one. */
  playInGesture(): void {
    if (this.video.paused) this.play();
  }

  /** The tab is visible again. The browser may have stopped the video meanwhile. */
  returned(): void {
    this.standstill.forget();
    this.forgetArrivals(); // a hidden tab checks only once a second
    this.skip(this.edge.skipOnReturn(performance.now(), this.aheadS));
    this.appended();
    this.play();
  }

  private playRefused(error: unknown): void {
    const isForbidden = error instanceof DOMException && error.name === "NotAllowedError";
    // When a hidden tab becomes visible, `returned` tries again.
    if (!isForbidden || document.hidden || !this.source.isOpen) return;
    this.isRefused = true;
    this.events.needsGesture();
  }

  private hasBegun(): void {
    clearTimeout(this.stallTimer);
    this.events.playing();
  }

  private rebuilt(): void {
    this.timeline.restart();
    this.forgetArrivals();
    this.standstill.forget();
    this.removedTo = 0;
    this.presentedTo = 0;
    this.hasNews = false;
    this.play();
  }

  /** The last frame is on screen. It is a stall if the next one is late by more than a frame. */
  private underrun(): void {
    clearTimeout(this.stallTimer);
    if (this.video.seeking || this.numShown === 0) return;
    this.stallTimer = setTimeout(() => this.stalled(), STALL_MS);
  }

  private stalled(): void {
    if (!this.isUnderrun || document.hidden || !this.events.isExpecting()) return;
    this.numStalls += 1;
    this.events.stalled();
  }

  private keepToEdge(nowMs: number): void {
    const { rate, skipS } = this.edge.decide(nowMs);
    this.hurry = rate;
    this.keepRate();
    this.skip(skipS);
    this.removeBehind();
  }

  private keepRate(): void {
    if (this.video.playbackRate !== this.rate) this.video.playbackRate = this.rate;
  }

  /** After a jump, a pause or any other intended break, what comes next says nothing about jitter. */
  forgetArrivals(): void {
    this.edge.forget();
    this.reserve.forget();
  }

  private skip(seconds: number): void {
    if (seconds <= 0) return;
    this.numSkips += 1;
    this.video.currentTime += seconds;
    this.forgetArrivals();
  }

  /** If the playhead is past the end, as after the machine slept, the new media would never be shown. */
  private appended(): void {
    if (this.hasNews && !document.hidden && this.aheadS < -PAST_END_S) this.jump();
  }

  /** Continue from the newest key frame. The seek also restarts a decoder that waits for removed media. */
  private jump(): void {
    const key = this.timeline.newestKey();
    if (key === null) return;
    this.numSkips += 1;
    this.video.currentTime = key;
    this.forgetArrivals();
    this.events.jumped();
  }

  /** Correct what others did to the video, and end a standstill, even if no media arrives. */
  private check(nowMs: number): void {
    // What comes after a pause is not late.
    if (this.isInterrupted) this.forgetArrivals();
    if (!this.source.isOpen || document.hidden) return this.standstill.forget();
    this.keepRate();
    if (this.video.paused && !this.isRefused) this.play();
    const isPastEnd = this.hasNews && this.aheadS < -PAST_END_S;
    const hasMedia = this.aheadS > PLAYED_OUT_S || isPastEnd;
    if (this.video.paused || !hasMedia) return this.standstill.forget();
    const remedy = this.standstill.check(nowMs);
    if (remedy === "jump") this.jump();
    else if (remedy === "rebuild") this.rebuild();
  }

  private rebuild(): void {
    this.numRebuilds += 1;
    this.source.build();
    this.events.jumped();
  }

  private removeBehind(): void {
    const end = this.removableTo(this.playedTo - KEEP_BEHIND_S);
    if (end - this.removedTo < REMOVE_EVERY_S) return;
    this.source.removeBefore(end);
    this.removedTo = end;
  }

  /** Browsers remove media up to the next key frame, so this is just before the last one until `time`. */
  private removableTo(time: number): number {
    return (this.timeline.newestKey(time) ?? 0) - ROUNDING_S;
  }

  private watchFrames(): void {
    this.video.requestVideoFrameCallback((_now, metadata) => {
      this.watchFrames();
      this.countShown(metadata.presentedFrames);
      this.standstill.presented();
      this.hasNews = false;
      this.presentedTo = metadata.mediaTime;
      const frame = this.timeline.frameAt(metadata.mediaTime);
      if (frame !== undefined) this.events.shown({ ...frame, shownAt: metadata.expectedDisplayTime });
    });
  }

  /** The browser's count includes frames whose callback came too late. It restarts with each source. */
  private countShown(presented: number): void {
    this.numShown += presented >= this.numPresented ? presented - this.numPresented : presented;
    this.numPresented = presented;
  }
}
