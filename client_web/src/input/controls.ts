/** The pressed keys and the turn of the view, as `controls` messages: pure state, no browser. */
import { KEYS, type Key, type Look } from "../net/protocol";

export interface ControlsMessage {
  type: "controls";
  seq: number;
  t: number;
  keys: Key[];
  look: Look;
}

/** The protocol's bound on one message's turn. */
const MAX_TURN_RAD = 6.2832;

const clamp = (value: number): number => Math.max(-MAX_TURN_RAD, Math.min(MAX_TURN_RAD, value));

export class Controls {
  private readonly holders = new Map<string, Key>();
  private look: Look = { yaw: 0, pitch: 0 };
  private seq = 0;

  constructor(
    private readonly send: (message: ControlsMessage, keysChanged: boolean) => void,
    private readonly now: () => number,
  ) {}

  /** Keys in the protocol's order. Several sources (keyboard, pad, fingers) may hold the same key. */
  get pressed(): Key[] {
    const held = new Set(this.holders.values());
    return KEYS.filter((key) => held.has(key));
  }

  get lastSeq(): number {
    return this.seq;
  }

  press(source: string, key: Key): void {
    this.change(() => this.holders.set(source, key));
  }

  release(source: string): void {
    this.change(() => this.holders.delete(source));
  }

  releaseAll(): void {
    this.change(() => this.holders.clear());
  }

  /** Radians, positive to the right and up; sent with the next key change or `flush`. */
  turn(yaw: number, pitch: number): void {
    // Older iPads do not report how far a captured mouse moved.
    if (!Number.isFinite(yaw) || !Number.isFinite(pitch)) return;
    this.look = { yaw: clamp(this.look.yaw + yaw), pitch: clamp(this.look.pitch + pitch) };
  }

  /** Send the turn since the last message, if there is any. */
  flush(): void {
    if (this.look.yaw !== 0 || this.look.pitch !== 0) this.tell(false);
  }

  /** Send the whole state again, to a server that has just opened the walk. */
  tellAgain(): void {
    this.look = { yaw: 0, pitch: 0 };
    this.tell(true);
  }

  private change(apply: () => void): void {
    const before = this.pressed.join();
    apply();
    if (this.pressed.join() !== before) this.tell(true);
  }

  private tell(keysChanged: boolean): void {
    this.seq += 1;
    const { look } = this;
    this.look = { yaw: 0, pitch: 0 };
    this.send({ type: "controls", seq: this.seq, t: this.now(), keys: this.pressed, look }, keysChanged);
  }
}
