/** What the server should keep buffered here: pure policy. */

/** What was needed counts for half after this time. */
const HALF_LIFE_MS = 8_000;
/** Beyond one frame. */
const MAX_JITTER_S = 0.4;
/** A longer standstill is no jitter that a buffer could hide without making every key late. */
const MAX_LATE_S = 0.15;
const MS_PER_S = 1_000;

/**
 * One frame, and as much as arrivals of the last seconds took of the reserve. This does not depend on how large the
 * reserve was, so the server may follow it: it grows at once, and shrinks while nothing is needed.
 */
export class Reserve {
  private frameS = 1 / 24;
  private needed = { atMs: 0, seconds: 0 };
  /** When everything that arrived so far will have been played; null if what comes next cannot be late. */
  private emptyAtMs: number | null = null;

  /** A frame of `frameS` arrived while `bufferedS` seconds were not played yet, of a video played at this rate. */
  arrived(nowMs: number, bufferedS: number, frameS: number, rate = 1): void {
    this.frameS = frameS;
    if (this.emptyAtMs !== null) {
      const lateS = Math.max(0, nowMs - this.emptyAtMs) / MS_PER_S;
      const takenS = this.wantedS(nowMs) - bufferedS + (bufferedS < frameS ? Math.min(lateS, MAX_LATE_S) : 0);
      const seconds = Math.min(MAX_JITTER_S, Math.max(takenS, this.neededS(nowMs)));
      this.needed = { atMs: nowMs, seconds };
    }
    this.emptyAtMs = nowMs + ((bufferedS + frameS) * MS_PER_S) / rate;
  }

  /** What should be buffered when a frame arrives. */
  wantedS(nowMs: number): number {
    return this.frameS + this.neededS(nowMs);
  }

  /** After a jump or a pause nothing is late. */
  forget(): void {
    this.emptyAtMs = null;
  }

  private neededS(nowMs: number): number {
    return this.needed.seconds * 0.5 ** ((nowMs - this.needed.atMs) / HALF_LIFE_MS);
  }
}
