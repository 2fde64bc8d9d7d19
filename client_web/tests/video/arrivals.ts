/** A simulated way from a server to a screen: when frames arrive, and what the page's buffer makes of it. */
import { LiveEdge } from "../../src/video/live_edge";
import { Reserve } from "../../src/video/reserve";

export const FRAME_S = 1 / 24;
const FRAME_MS = 1_000 * FRAME_S;
const STEP_MS = 1;

/** Random numbers from 0 to 1, the same in every run. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (1_664_525 * state + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

/** What a server knows of the page when it decides about its next frames. */
interface Sight {
  nowMs: number;
  /** Media seconds that were sent and not played, as the page reports it. */
  bufferedS: number;
  /** What the page wants to have buffered. */
  wantedS: number;
}

export interface Server {
  /** How many frames to send now, and how long each will be on the way. */
  send(sight: Sight): { count: number; delayMs: number } | null;
}

/** A stream that does not know of the page: `burst` frames at a time, at the pace of the video. */
export function steadyStream(burst: number, delayMs: () => number): Server {
  let next = 0;
  return {
    send({ nowMs }) {
      if (nowMs < next * FRAME_MS) return null;
      next += burst;
      return { count: burst, delayMs: delayMs() };
    },
  };
}

/** A server that sends `burst` frames when the page is about to have less than `keepS`. */
export function pacedServer(burst: number, keepS: number, delayMs: () => number): Server {
  return { send: ({ bufferedS }) => (bufferedS <= keepS ? { count: burst, delayMs: delayMs() } : null) };
}

/** A server that sends a latent so that the page has left what it wants, if the latent takes as long as usual. */
export function followingServer(burst: number, usualMs: number, delayMs: () => number): Server {
  return {
    send: ({ bufferedS, wantedS }) =>
      bufferedS <= wantedS + usualMs / 1_000 ? { count: burst, delayMs: delayMs() } : null,
  };
}

/** Plays what arrives in real time at the rate that the live edge decides. */
export class Screen {
  readonly edge = new LiveEdge();
  readonly reserve = new Reserve();
  nowMs = 0;
  isHidden = false;
  stalls: number[] = [];
  rates = new Set<number>();
  numSkips = 0;
  private sentS = 0;
  private shownS = 0;
  private endS = 0;
  private rate = 1;
  private emptyMs = 0;
  private onTheWay: number[] = [];

  constructor(private readonly server: Server) {}

  get bufferedS(): number {
    return this.endS - this.shownS;
  }

  run(seconds: number): this {
    for (const endMs = this.nowMs + 1_000 * seconds; this.nowMs < endMs; this.nowMs += STEP_MS) this.step();
    return this;
  }

  /** The lowest buffer over the next seconds. */
  lowest(seconds: number): number {
    let lowestS = Infinity;
    for (let step = 0; step < 1_000 * seconds; step++) {
      this.run(STEP_MS / 1_000);
      lowestS = Math.min(lowestS, this.bufferedS);
    }
    return lowestS;
  }

  forgetStalls(): this {
    this.stalls = [];
    return this;
  }

  /** What the visitor does to the page: it is out of sight, and back. */
  hide(seconds: number): this {
    this.isHidden = true;
    this.edge.forget();
    this.reserve.forget();
    this.run(seconds);
    this.isHidden = false;
    this.skip(this.edge.skipOnReturn(this.nowMs, this.bufferedS));
    return this;
  }

  private step(): void {
    const wantedS = this.reserve.wantedS(this.nowMs);
    const sent = this.server.send({ nowMs: this.nowMs, bufferedS: this.sentS - this.shownS, wantedS });
    if (sent !== null) this.take(sent.count, sent.delayMs);
    for (let at = this.onTheWay[0]; at !== undefined && at <= this.nowMs; at = this.onTheWay[0])
      this.arrive();
    if (!this.isHidden) this.play();
  }

  /** Frames stay in order, so one that is late holds up those behind it. */
  private take(count: number, delayMs: number): void {
    const arrivesMs = Math.max(this.nowMs + delayMs, this.onTheWay.at(-1) ?? 0);
    for (let frame = 0; frame < count; frame++) this.onTheWay.push(arrivesMs);
    this.sentS += count * FRAME_S;
  }

  private arrive(): void {
    this.onTheWay.shift();
    if (!this.isHidden) {
      this.edge.arrived(this.nowMs, this.bufferedS, FRAME_S, this.rate);
      this.reserve.arrived(this.nowMs, this.bufferedS, FRAME_S, this.rate);
    }
    if (this.emptyMs > 0) this.stalls.push(this.emptyMs);
    this.emptyMs = 0;
    this.endS += FRAME_S;
    const { rate, skipS } = this.edge.decide(this.nowMs);
    this.rate = rate;
    this.rates.add(rate);
    this.skip(skipS);
  }

  private play(): void {
    if (this.endS > 0 && this.bufferedS <= 0) this.emptyMs += STEP_MS;
    this.shownS = Math.min(this.endS, this.shownS + (this.rate * STEP_MS) / 1_000);
  }

  private skip(seconds: number): void {
    if (seconds <= 0) return;
    this.numSkips += 1;
    this.shownS += seconds;
    this.edge.forget();
    this.reserve.forget();
  }
}
