/** Everything between a fragment and the screen: plays it, measures it, and tells the server how far it is. */
import type { Chunk, ClientMessage, Media, Welcome } from "../net/protocol";
import { playbackSnapshot } from "../stats/diagnostics";
import { Hud } from "../stats/hud";
import { medianSplit } from "../stats/latency_split";
import { Measurements } from "../stats/measurements";
import type { Notice } from "../ui/notice";
import { noVideoInWords } from "../ui/words";
import { paceInWords, speedFor } from "./pace";
import { type OpenVideo, Player, type ShownFrame } from "./player";
import { Stage } from "./stage";

const PLAYHEAD_MS = 100;
const HUD_MS = 200;
/** The HUD tells the median of so many, the latest ones, and where its time went. */
const NUM_SPLITS = 24;
const MS_PER_S = 1_000;

interface PlaybackEvents {
  /** Frames of a walk are due. */
  isWalking(): boolean;
  /** The server has opened the walk: what comes is its video. */
  isOpened(): boolean;
  send(message: ClientMessage): boolean;
  failed(message: string): void;
}

export class Playback {
  readonly stage = new Stage();
  readonly measured = new Measurements();
  private readonly hud = new Hud();
  private readonly player: Player;
  private tellsWanted = false;

  constructor(
    private readonly events: PlaybackEvents,
    private readonly notice: Notice,
  ) {
    this.player = new Player(this.stage.video, {
      isExpecting: () => events.isWalking(),
      shown: (frame) => this.frameShown(frame),
      stalled: () => this.tellPlayhead(),
      // Keys pressed before a standstill say nothing about latency.
      jumped: () => this.measured.tracker.clear(),
      failed: (message) => {
        events.failed(message);
        notice.say("The video failed and was started again.");
      },
      gaveUp: (reason, message) => {
        events.failed(message);
        notice.stay("video", noVideoInWords(reason));
      },
      needsGesture: () => notice.stay("gesture", "Tap or press a key to start the picture."),
      playing: () => notice.end("gesture"),
    });
    setInterval(() => this.tellPlayhead(), PLAYHEAD_MS);
    document.addEventListener("visibilitychange", () => this.visibilityChanged());
  }

  snapshot(): ReturnType<typeof playbackSnapshot> {
    return playbackSnapshot(this.player, this.measured);
  }

  /** The server said how fast it makes the video, and whether it wants to know what to keep buffered. */
  welcomed({ times_real_time: timesRealTime, wanted = false }: Welcome): void {
    this.player.setSpeed(speedFor(timesRealTime));
    this.hud.showPace(paceInWords(timesRealTime));
    this.tellsWanted = wanted;
  }

  /** Keep the numbers on screen up to date; `seq` is that of the newest controls. */
  showNumbers(welcome: () => Welcome | null, seq: () => number): void {
    setInterval(() => this.refreshHud(welcome(), seq()), HUD_MS);
  }

  open(mime: string, data: Uint8Array<ArrayBuffer>): void {
    this.notice.end("video");
    this.player.open(mime, data);
    this.tellPlayhead();
  }

  /** Go on with the video that the page before this one had open. */
  continueFrom(video: OpenVideo): void {
    this.player.continueFrom(video);
  }

  get newestKeyFrame(): number | null {
    return this.player.newestKeyFrame;
  }

  get openVideo(): OpenVideo | null {
    return this.player.openVideo;
  }

  /** Another session numbers its frames from the beginning. */
  newSession(): void {
    this.measured.reconnected();
    this.player.newSession();
  }

  /** A break that the visitor asked for, or a lost connection: it says nothing about latency or jitter. */
  interrupted(): void {
    this.measured.tracker.clear();
    this.player.forgetArrivals();
  }

  chunkAnnounced(chunk: Chunk): void {
    this.measured.chunk(chunk);
  }

  mediaReceived(media: Media): void {
    this.player.append(media, performance.now());
    this.measured.media(media);
    if (this.events.isOpened()) this.stage.expect(media.frame);
  }

  /** Call this within a gesture: some browsers play nothing before the first one. */
  playInGesture(): void {
    this.player.playInGesture();
  }

  controlsSent(seq: number, atMs: number, keysChanged: boolean): void {
    // While the walk is paused or the tab hidden, the time to the screen is not the server's.
    if (!this.events.isWalking() || document.hidden) return;
    this.measured.tracker.controlsSent(seq, atMs, keysChanged);
  }

  private frameShown(frame: ShownFrame): void {
    this.notice.end("video");
    if (this.measured.shown(frame)) this.showLatencies();
    if (this.stage.shown(frame.frame)) this.tellPlayhead();
  }

  private showLatencies(): void {
    const { latencies, splits } = this.measured;
    this.hud.showLatencies(latencies.values, medianSplit(splits.values.slice(-NUM_SPLITS)));
  }

  private tellPlayhead(): void {
    if (!this.events.isOpened()) return;
    const { shownS: shown, bufferedS: buffered, numStalls: stalled } = this.player;
    const wanted = this.tellsWanted ? { wanted: this.player.reserveS } : {};
    this.events.send({ type: "playhead", shown, buffered, stalled, hidden: document.hidden, ...wanted });
  }

  private visibilityChanged(): void {
    if (document.hidden) this.measured.tracker.clear();
    else this.player.returned();
    this.tellPlayhead();
  }

  private refreshHud(welcome: Welcome | null, seq: number): void {
    const { frameRate, cost } = this.measured;
    this.hud.showNumbers({
      framesPerSecond: frameRate.perSecond(performance.now()),
      bufferedS: this.player.bufferedS,
      numStalls: this.player.numStalls,
      seq,
    });
    const { fps = 24, latch } = welcome ?? {};
    this.hud.showCost(cost, (cost.numFrames / fps) * MS_PER_S);
    this.hud.showLatch(latch);
  }
}
