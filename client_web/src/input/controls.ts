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

  /** `atMs` is when the visitor pressed, which a busy page hears of later. */
  press(source: string, key: Key, atMs = this.now()): void {
    this.change(() => this.holders.set(source, key), atMs);
  }

  release(source: string, atMs = this.now()): void {
    this.change(() => this.holders.delete(source), atMs);
  }

  releaseAll(): void {
    this.change(() => this.holders.clear(), this.now());
  }

  /** Radians, positive to the right and up; sent with the next key change or `flush`. */
  turn(yaw: number, pitch: number): void {
    // Older iPads do not report how far a captured mouse moved.
    if (!Number.isFinite(yaw) || !Number.isFinite(pitch)) return;
    this.look = { yaw: clamp(this.look.yaw + yaw), pitch: clamp(this.look.pitch + pitch) };
  }

  /** Send the turn since the last message, if there is any. */
  flush(): void {
    if (this.look.yaw !== 0 || this.look.pitch !== 0) this.tell(false, this.now());
  }

  /** Send the whole state again, to a server that has just opened the walk. */
  tellAgain(): void {
    this.look = { yaw: 0, pitch: 0 };
    this.tell(true, this.now());
  }

  private change(apply: () => void, atMs: number): void {
    const before = this.pressed.join();
    apply();
    if (this.pressed.join() !== before) this.tell(true, atMs);
  }

  private tell(keysChanged: boolean, atMs: number): void {
    this.seq += 1;
    const { look } = this;
    this.look = { yaw: 0, pitch: 0 };
    this.send({ type: "controls", seq: this.seq, t: atMs, keys: this.pressed, look }, keysChanged);
  }
}
