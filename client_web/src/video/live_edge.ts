/** How much to keep buffered, and how fast to play so that no more delay stays than needed: pure policy. */

import { median } from "../stats/latency";

interface EdgeDecision {
  rate: number;
  /** Media seconds to skip; 0 for none. */
  skipS: number;
}

/** The buffer is judged by its lowest levels over these last seconds. */
const WINDOW_MS = 8_000;
/** Longer than any burst: frames may come one by one, a latent at a time, or a chunk at once. */
const SLOT_MS = 700;
/** Jitter that was seen counts for half after this time. */
const HALF_LIFE_MS = 20_000;
const MAX_JITTER_S = 0.4;
/** Nobody sees that the picture moves so little faster. */
const HURRIED_RATE = 1.05;
/** Less excess than this is left alone. */
const TOLERATED_S = 0.04;
/** It would take too long to play this off. */
const SKIP_S = 0.4;
/** A level that came back after it was played off is the server's, which paces itself by the reports. */
const TRY_AGAIN_MS = 120_000;
const MS_PER_S = 1_000;

interface Sample {
  atMs: number;
  bufferedS: number;
}

export class LiveEdge {
  private samples: Sample[] = [];
  private since: number | null = null;
  /** When everything that arrived so far will have been played. */
  private emptyAtMs: number | null = null;
  private frameS = 1 / 24;
  private jitter = { atMs: 0, seconds: 0 };
  private hurryUntilMs: number | null = null;
  private triedAtMs: number | null = null;
  private acceptedS = 0;

  /** A frame of `frameS` arrived while `bufferedS` seconds were not played yet, of a video played at this rate. */
  arrived(nowMs: number, bufferedS: number, frameS: number, rate = 1): void {
    this.frameS = frameS;
    const lateS = this.emptyAtMs === null ? 0 : (nowMs - this.emptyAtMs) / MS_PER_S;
    // Browsers stop a little before the end.
    if (bufferedS < frameS && lateS > 0) this.wasLate(nowMs, lateS);
    this.since ??= nowMs;
    this.samples.push({ atMs: nowMs, bufferedS });
    this.samples = this.samples.filter((sample) => nowMs - sample.atMs <= WINDOW_MS);
    this.emptyAtMs = nowMs + ((bufferedS + frameS) * MS_PER_S) / rate;
    if (bufferedS < frameS / 2) this.hurryUntilMs = null;
  }

  decide(nowMs: number): EdgeDecision {
    if (this.hurryUntilMs !== null) return this.hurry(nowMs, this.hurryUntilMs);
    if (this.since === null || nowMs - this.since < WINDOW_MS) return { rate: 1, skipS: 0 };
    this.tryAgain(nowMs);
    const standingS = this.standingS(nowMs);
    const excessS = standingS - Math.max(this.wantedS(nowMs), this.acceptedS);
    if (excessS <= TOLERATED_S) return { rate: 1, skipS: 0 };
    if (this.triedAtMs !== null) return this.accept(standingS);
    this.triedAtMs = nowMs;
    if (excessS > SKIP_S) return { rate: 1, skipS: excessS };
    return this.hurry(nowMs, nowMs + (excessS / (HURRIED_RATE - 1)) * MS_PER_S);
  }

  /** What should be buffered when a fragment arrives: one frame, and as much as arrivals lately varied. */
  wantedS(nowMs: number): number {
    return this.frameS + this.rememberedS(nowMs);
  }

  /** What to skip when the page was out of sight and playback may have stood still. */
  skipOnReturn(nowMs: number, bufferedS: number): number {
    return bufferedS > SKIP_S ? bufferedS - this.wantedS(nowMs) : 0;
  }

  /** After a jump or a pause, past levels say nothing about the next ones. */
  forget(): void {
    this.samples = [];
    this.since = null;
    this.emptyAtMs = null;
    this.hurryUntilMs = null;
  }

  /** Playback stood still for `lateS`. It goes on later than before, so past levels do not count. */
  private wasLate(nowMs: number, lateS: number): void {
    const usualS = median(this.troughs(nowMs)) ?? 0;
    this.remember(nowMs, usualS + lateS);
    this.forget();
  }

  private hurry(nowMs: number, untilMs: number): EdgeDecision {
    this.hurryUntilMs = untilMs;
    if (nowMs < untilMs) return { rate: HURRIED_RATE, skipS: 0 };
    this.forget();
    return { rate: 1, skipS: 0 };
  }

  /** Playing it off did not help: the server needs this buffer, so it stays for a while. */
  private accept(standingS: number): EdgeDecision {
    this.acceptedS = standingS;
    return { rate: 1, skipS: 0 };
  }

  private tryAgain(nowMs: number): void {
    if (this.triedAtMs === null || nowMs - this.triedAtMs <= TRY_AGAIN_MS) return;
    this.triedAtMs = null;
    this.acceptedS = 0;
  }

  /** The usual level when a burst begins. What it is above the lowest one is jitter. */
  private standingS(nowMs: number): number {
    const troughs = this.troughs(nowMs);
    const usualS = median(troughs) ?? 0;
    this.remember(nowMs, usualS - Math.min(...troughs));
    return usualS;
  }

  /** The lowest level of each slot in the window. */
  private troughs(nowMs: number): number[] {
    const bySlot = new Map<number, number>();
    for (const { atMs, bufferedS } of this.samples) {
      const slot = Math.floor((nowMs - atMs) / SLOT_MS);
      bySlot.set(slot, Math.min(bufferedS, bySlot.get(slot) ?? Infinity));
    }
    return [...bySlot.values()];
  }

  private rememberedS(nowMs: number): number {
    return this.jitter.seconds * 0.5 ** ((nowMs - this.jitter.atMs) / HALF_LIFE_MS);
  }

  /** It grows at once and shrinks slowly. */
  private remember(nowMs: number, jitterS: number): void {
    const seconds = Math.min(MAX_JITTER_S, Math.max(jitterS, this.rememberedS(nowMs)));
    this.jitter = { atMs: nowMs, seconds };
  }
}
