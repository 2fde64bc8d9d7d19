/** Whether it is worth trying again when there is nothing to watch: a server that restarts has its walks soon. */
import type { Cause, Status } from "../net/connection";
import type { Bye } from "../net/protocol";

const RETRY_MS = 2_000;
/** For as long after the last frame a walk may come back that the server does not know at the moment. */
const PATIENCE_MS = 60_000;

export class Comeback {
  private watchedAtMs: number | null = null;
  private ended: Cause = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly now: () => number) {}

  /** The walk is on screen. */
  watches(): void {
    this.watchedAtMs = this.now();
    this.ended = null;
  }

  /** The server said goodbye. Without a time to come back, the walk has ended. */
  said({ reason, resume_in: resumeIn }: Bye): void {
    if (resumeIn === undefined) this.ended = { code: "bye", message: reason };
  }

  /** Why nothing is to be expected any more; null if it is worth trying again. */
  ending(status: Exclude<Status, { kind: "connecting" | "open" }>): Cause {
    if (this.ended !== null) return this.ended;
    if (status.kind === "waiting" || this.mayBeBack(status.cause)) return null;
    return status.cause;
  }

  /** Try again in a moment. */
  later(connect: () => void): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(connect, RETRY_MS);
  }

  private mayBeBack(cause: Cause): boolean {
    const sinceMs = this.now() - (this.watchedAtMs ?? -Infinity);
    return cause?.code === "not_found" && sinceMs < PATIENCE_MS;
  }
}
