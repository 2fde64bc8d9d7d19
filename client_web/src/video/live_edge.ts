/** How fast to play and when to skip, so that delay does not accumulate: pure policy. */

export interface EdgeDecision {
  rate: number;
  /** Media seconds to skip; 0 for none. */
  skipS: number;
}

/** What should be buffered when a fragment arrives: enough for a late one, too little to notice. */
const TARGET_S = 0.05;
/** Frames arrive in bursts, so the buffer is judged by its lowest level over several bursts. */
const WINDOW_MS = 3_000;
const TOLERATED_S = 0.05;
const HURRY_S = 0.2;
const SKIP_S = 0.4;
/** By then any excess is played, unless the server keeps this level: it paces itself by the reports. */
const CATCH_UP_MS = 3_000;
const TRY_AGAIN_MS = 120_000;
/** Play faster first: a skip loses frames, and most excess disappears without one. */
const SKIP_AFTER_MS = 1_500;

interface Sample {
  atMs: number;
  bufferedS: number;
}

export class LiveEdge {
  private samples: Sample[] = [];
  private since: number | null = null;
  private attemptedAt: number | null = null;
  private acceptedS = 0;

  /** A fragment arrived while `bufferedS` seconds were not played yet. */
  arrived(nowMs: number, bufferedS: number): void {
    this.since ??= nowMs;
    this.samples.push({ atMs: nowMs, bufferedS });
    this.samples = this.samples.filter((sample) => nowMs - sample.atMs <= WINDOW_MS);
  }

  decide(nowMs: number): EdgeDecision {
    const standingS = this.standingBuffer(nowMs);
    const excessS = standingS - Math.max(TARGET_S, this.acceptedS);
    if (excessS <= TOLERATED_S) return this.atRest(nowMs);
    this.attemptedAt ??= nowMs;
    const hurriedMs = nowMs - this.attemptedAt;
    if (hurriedMs > CATCH_UP_MS) return this.accept(standingS, nowMs);
    if (hurriedMs > SKIP_AFTER_MS && excessS > SKIP_S) return { rate: 1, skipS: excessS };
    return { rate: excessS > HURRY_S ? 1.25 : 1.1, skipS: 0 };
  }

  /** What to skip when the page was out of sight and playback may have stood still. */
  skipOnReturn(bufferedS: number): number {
    return bufferedS > SKIP_S ? bufferedS - TARGET_S : 0;
  }

  /** After a jump, a stall or a pause, past levels say nothing about the next ones. */
  forget(): void {
    this.samples = [];
    this.since = null;
  }

  /** The buffer that is never used: pure delay. Zero until a whole window was seen. */
  private standingBuffer(nowMs: number): number {
    if (this.since === null || nowMs - this.since < WINDOW_MS) return 0;
    const recent = this.samples.filter((sample) => nowMs - sample.atMs <= WINDOW_MS);
    return recent.length === 0 ? 0 : Math.min(...recent.map((sample) => sample.bufferedS));
  }

  private atRest(nowMs: number): EdgeDecision {
    if (this.attemptedAt !== null && nowMs - this.attemptedAt > TRY_AGAIN_MS) {
      this.attemptedAt = null;
      this.acceptedS = 0;
    }
    return { rate: 1, skipS: 0 };
  }

  /** Playing faster did not help: the server's jitter needs this buffer, so keep it for a while. */
  private accept(standingS: number, nowMs: number): EdgeDecision {
    this.acceptedS = standingS;
    this.attemptedAt = nowMs;
    return { rate: 1, skipS: 0 };
  }
}
