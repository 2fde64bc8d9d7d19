/** Drops the jumps that some browsers report for a captured mouse that hardly moved. */

export type Movement = readonly [x: number, y: number];

/** A shorter movement is never a jump. */
const SHORTEST_PX = 60;
/** A real movement grows by less than this from one event to the next. */
const GROWTH = 4;
const RECENT_MS = 100;

interface Timed {
  move: Movement;
  atMs: number;
}

export class MouseFilter {
  private recent: Timed[] = [];
  /** Probably a jump, unless the next movement is about as long and goes the same way. */
  private doubted: Timed | null = null;

  /** How far to turn for this movement. A doubted movement counts only once the next one confirms it. */
  take(move: Movement, atMs: number): Movement {
    this.recent = this.recent.filter((earlier) => atMs - earlier.atMs <= RECENT_MS);
    const doubted = this.doubted !== null && atMs - this.doubted.atMs <= RECENT_MS ? this.doubted : null;
    this.doubted = null;
    if (doubted !== null && goesOn(doubted.move, move)) {
      this.recent.push(doubted, { move, atMs });
      return [doubted.move[0] + move[0], doubted.move[1] + move[1]];
    }
    if (this.isJump(move)) {
      this.doubted = { move, atMs };
      return [0, 0];
    }
    this.recent.push({ move, atMs });
    return move;
  }

  private isJump(move: Movement): boolean {
    const longest = Math.max(0, ...this.recent.map((earlier) => length(earlier.move)));
    return length(move) > Math.max(SHORTEST_PX, GROWTH * longest);
  }
}

const length = ([x, y]: Movement): number => Math.hypot(x, y);

/** The second movement continues the first: nearly as long, and in nearly the same direction. */
function goesOn(first: Movement, second: Movement): boolean {
  const along = first[0] * second[0] + first[1] * second[1];
  return length(second) * GROWTH > length(first) && along > 0.7 * length(first) * length(second);
}
