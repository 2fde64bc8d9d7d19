/** Notices a picture that stands still although there is media to show, and says what to do: pure policy. */

type Remedy = "jump" | "rebuild";

/** So long without a presented frame, and what is buffered no longer counts: nobody sees it. */
const STILL_MS = 500;
const REBUILD_MS = 2_000;
const LONGEST_REBUILD_MS = 30_000;
/** A longer time between two checks was spent asleep or starved, when nothing could have been presented. */
const LONGEST_STEP_MS = 250;

export class Standstill {
  private stillMs = 0;
  private checkedAtMs: number | null = null;
  private hasJumped = false;
  /** Grows with every rebuild in vain: a machine that is only slow must not be held up by rebuilding. */
  private rebuildMs = REBUILD_MS;

  /** No frame has been presented for a while, although there is media to show. */
  get isOn(): boolean {
    return this.stillMs >= STILL_MS;
  }

  /** A frame was presented. */
  presented(): void {
    this.forget();
    this.rebuildMs = REBUILD_MS;
  }

  /** There is no reason to expect a picture: nothing to show, or nobody to show it to. */
  forget(): void {
    this.stillMs = 0;
    this.hasJumped = false;
  }

  /** Call this several times a second while there is media to show. */
  check(nowMs: number): Remedy | null {
    const stepMs = this.checkedAtMs === null ? 0 : nowMs - this.checkedAtMs;
    this.checkedAtMs = nowMs;
    this.stillMs += Math.max(0, Math.min(stepMs, LONGEST_STEP_MS));
    if (this.stillMs >= this.rebuildMs) {
      this.forget();
      this.rebuildMs = Math.min(2 * this.rebuildMs, LONGEST_REBUILD_MS);
      return "rebuild";
    }
    if (!this.isOn || this.hasJumped) return null;
    this.hasJumped = true;
    return "jump";
  }
}
