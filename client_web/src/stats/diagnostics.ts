/** `window.worldplay`: readings for browser tests and curious visitors. It is read-only. */

import type { Player } from "../video/player";
import type { LatencySplit } from "./latency_split";
import type { Measurements } from "./measurements";

export type PageState =
  | "connecting"
  | "choosing"
  | "starting"
  | "walking"
  | "paused"
  | "reconnecting"
  | "failed";

/** All times in ms, lists newest last and bounded. */
export interface Diagnostics {
  readonly state: PageState;
  readonly session: string | null;
  readonly mime: string;
  readonly framesReceived: number;
  /** Frames the browser put on screen. */
  readonly framesShown: number;
  /** Number of the newest frame on screen, on the server's media timeline. */
  readonly frameOnScreen: number | null;
  readonly chunk: number | null;
  readonly stalls: number;
  /** Jumps to the live edge; each leaves out a few frames. */
  readonly skips: number;
  /** How often the video was rebuilt because its picture stood still. */
  readonly rebuilds: number;
  /** Whether the server reads controls once per chunk or per latent; null when it does not say. */
  readonly latch: string | null;
  /** Seconds that the page wants to have buffered when a frame arrives. */
  readonly wantedLead: number;
  /** Seconds buffered ahead of the playhead. */
  readonly lead: number;
  readonly playbackRate: number;
  /** Input latency: from sending `controls` to the first frame on screen of the chunk that includes it. */
  readonly latencies: readonly number[];
  /** Where the time of each went. Those before the first `pong` are missing. */
  readonly latencySplits: readonly LatencySplit[];
  /** From the server's `decoded_at` (clocks aligned by ping) to the screen. */
  readonly decodedToShown: readonly number[];
  /** The same, only for frames that arrived during an underrun. */
  readonly starvedDecodedToShown: readonly number[];
  /** Best recent round trip to the server; bounds the error of the two lists above by half of it. */
  readonly roundTrip: number | null;
  readonly sourceBufferErrors: number;
  readonly keys: readonly string[];
  readonly seq: number;
  /** The prompt that the world follows; empty when there is none. */
  readonly prompt: string;
  readonly lastError: { readonly code: string; readonly message: string } | null;
}

declare global {
  interface Window {
    readonly worldplay: Diagnostics;
  }
}

type PageFields = "state" | "session" | "latch" | "keys" | "seq" | "prompt" | "lastError";

export function playbackSnapshot(player: Player, measured: Measurements): Omit<Diagnostics, PageFields> {
  return {
    mime: player.mime,
    framesReceived: player.numReceived,
    framesShown: player.numShown,
    frameOnScreen: measured.frameOnScreen,
    chunk: measured.cost.index,
    stalls: player.numStalls,
    skips: player.numSkips,
    rebuilds: player.numRebuilds,
    lead: player.bufferedS,
    wantedLead: player.liveEdgeS,
    playbackRate: player.playbackRate,
    latencies: measured.latencies.values,
    latencySplits: measured.splits.values,
    decodedToShown: measured.decodedToShown.values,
    starvedDecodedToShown: measured.starvedDecodedToShown.values,
    roundTrip: measured.clock.roundTripMs,
    sourceBufferErrors: player.numSourceErrors,
  };
}

/** Each access of `window.worldplay` gives a new snapshot. */
export function publishDiagnostics(snapshot: () => Diagnostics): void {
  Object.defineProperty(window, "worldplay", { get: () => Object.freeze(snapshot()) });
}
