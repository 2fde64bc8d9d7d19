/** How fast to play, and when to skip, so that old delay does not stay: pure policy. */

export interface EdgeDecision {
  rate: number;
  /** Media seconds to skip; 0 for none. */
  skipS: number;
}

/** What is kept buffered when a fragment comes: enough for a late one, too little to feel. */
const TARGET_S = 0.05;
/** Frames come in bursts, so lead is judged by its lowest point over several bursts. */
const WINDOW_MS = 3_000;
const TOLERATED_S = 0.05;
const HURRY_S = 0.2;
const SKIP_S = 0.4;
/** Any excess is gone by then, unless the server wants this lead: it paces itself by what we report. */
const CATCH_UP_MS = 3_000;
const TRY_AGAIN_MS = 120_000;
/** Hurry first: a skip loses frames, and most leads melt away without one. */
const SKIP_AFTER_MS = 1_500;

interface Sample {
  atMs: number;
  leadS: number;
}

export class LiveEdge {
  private samples: Sample[] = [];
  private since: number | null = null;
  private attemptedAt: number | null = null;
  private acceptedS = 0;

  /** A fragment came while `leadS` seconds were still unplayed. */
  arrived(nowMs: number, leadS: number): void {
    this.since ??= nowMs;
    this.samples.push({ atMs: nowMs, leadS });
    this.samples = this.samples.filter((sample) => nowMs - sample.atMs <= WINDOW_MS);
  }

  decide(nowMs: number): EdgeDecision {
    const standingS = this.standingLead(nowMs);
    const excessS = standingS - Math.max(TARGET_S, this.acceptedS);
    if (excessS <= TOLERATED_S) return this.atRest(nowMs);
    this.attemptedAt ??= nowMs;
    const hurriedMs = nowMs - this.attemptedAt;
    if (hurriedMs > CATCH_UP_MS) return this.accept(standingS, nowMs);
    if (hurriedMs > SKIP_AFTER_MS && excessS > SKIP_S) return { rate: 1, skipS: excessS };
    return { rate: excessS > HURRY_S ? 1.25 : 1.1, skipS: 0 };
  }

  /** What to skip when the page was out of sight and playback may have stood still. */
  skipOnReturn(leadS: number): number {
    return leadS > SKIP_S ? leadS - TARGET_S : 0;
  }

  /** After a jump, a stall or a pause the past says nothing about the lead to come. */
  forget(): void {
    this.samples = [];
    this.since = null;
  }

  /** The lead that is never used up: pure delay. Zero until a whole window was seen. */
  private standingLead(nowMs: number): number {
    if (this.since === null || nowMs - this.since < WINDOW_MS) return 0;
    const recent = this.samples.filter((sample) => nowMs - sample.atMs <= WINDOW_MS);
    return recent.length === 0 ? 0 : Math.min(...recent.map((sample) => sample.leadS));
  }

  private atRest(nowMs: number): EdgeDecision {
    if (this.attemptedAt !== null && nowMs - this.attemptedAt > TRY_AGAIN_MS) {
      this.attemptedAt = null;
      this.acceptedS = 0;
    }
    return { rate: 1, skipS: 0 };
  }

  /** Hurrying did not help: the server's jitter needs this lead, so leave it alone for a while. */
  private accept(standingS: number, nowMs: number): EdgeDecision {
    this.acceptedS = standingS;
    this.attemptedAt = nowMs;
    return { rate: 1, skipS: 0 };
  }
}
