/** Notices a picture that stands still although there is media to show, and says what to do: pure policy. */

type Remedy = "jump" | "rebuild";

/** After this time without a presented frame, the picture stands still. */
const STILL_MS = 500;
const REBUILD_MS = 2_000;
const LONGEST_REBUILD_MS = 30_000;
/** A longer time between two checks means that the page slept; only this much of it counts. */
const LONGEST_STEP_MS = 250;

export class Standstill {
  private stillMs = 0;
  private checkedAtMs: number | null = null;
  private hasJumped = false;
  /** It doubles with every rebuild that does not help, so that a slow machine is not slowed further. */
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

  /** No picture is expected: there is nothing to show, or the tab is hidden or the video paused. */
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
