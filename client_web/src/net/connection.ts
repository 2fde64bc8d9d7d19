/** The WebSocket to the server: hello and welcome, heartbeat, and coming back after a loss. */
import {
  type Bye,
  type ClientMessage,
  decode,
  encode,
  PROTOCOL,
  ProtocolError,
  type Resume,
  type ServerError,
  type ServerMessage,
  type Welcome,
} from "./protocol";
import type { Socket, SocketEvents } from "./socket";

export type Status =
  | { kind: "connecting" }
  | { kind: "open" }
  | { kind: "waiting"; retryMs: number; cause: Cause }
  | { kind: "failed"; cause: Cause };

/** Why a connection ended, in the server's words; null when the server gave no reason. */
export type Cause = Pick<ServerError, "code" | "message"> | null;

interface ConnectionEvents {
  status(status: Status): void;
  message(message: ServerMessage): void;
}

interface ConnectionOptions {
  openSocket(events: SocketEvents): Socket;
  token?(): string | undefined;
  /** The session of the page before, if this tab was reloaded. */
  resume?: Resume | undefined;
  /** The token of somebody else's walk, to watch it. */
  watch?: string;
  random?(): number;
  now?(): number;
}

const FIRST_RETRY_MS = 400;
const LONGEST_RETRY_MS = 10_000;
const MS_PER_S = 1_000;
const PING_MS = 1_000;
/**
 * So many beats without a word, pongs included, and the line is dead even if the socket does not say so. Beats and
 * not milliseconds: a hidden tab's clock ticks once a minute.
 */
const SILENT_BEATS = 8;
/** A connection that lasted this long was not a failed attempt, even if no video came. */
const SETTLED_MS = 30_000;
/** What a close code means when no `error` message came before it. */
const CAUSE_BY_CLOSE_CODE: Readonly<Record<number, Cause>> = {
  1008: { code: "slow_consumer", message: "closed with 1008" },
  1011: { code: "internal", message: "closed with 1011" },
};

/** Time before the next attempt. It doubles, with a random part so that many pages do not return at once. */
export function retryDelayMs(attempt: number, random: number): number {
  const ceiling = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** attempt);
  return ceiling * (0.5 + random / 2);
}

export class Connection {
  private socket: Socket | null = null;
  private welcomedAt: number | null = null;
  private attempt = 0;
  private cause: Cause = null;
  private mayRetry = true;
  /** Another page may go on with the session: a server has accepted it, and no other page has it. */
  private mayHandOn = false;
  private resume: Resume | null;
  /** When the server expects to be back, after it said so. */
  private backInMs: number | null = null;
  /** The server says what is missing of a walk, if it is told which chunk was the last. Others refuse that field. */
  private countsMissing = false;
  private numSilentBeats = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private heartbeat: ReturnType<typeof setInterval> | undefined;
  private readonly random: () => number;
  private readonly now: () => number;

  constructor(
    private readonly options: ConnectionOptions,
    private readonly events: ConnectionEvents,
  ) {
    this.resume = options.resume ?? null;
    this.random = options.random ?? Math.random;
    this.now = options.now ?? (() => performance.now());
  }

  /** What another page needs to go on with the session; null if there is none, or no use in trying. */
  get session(): Resume | null {
    return this.mayRetry || this.mayHandOn ? this.resume : null;
  }

  /** Connect now. Also called when the visitor presses "Try now". */
  connect(): void {
    clearTimeout(this.timer);
    if (this.socket !== null) return;
    this.cause = null;
    this.mayRetry = true;
    this.numSilentBeats = 0;
    this.events.status({ kind: "connecting" });
    const socket = this.options.openSocket({
      opened: () => this.sayHello(),
      received: (frame) => this.socket === socket && this.receive(frame),
      closed: (code) => this.socket === socket && this.closed(code),
    });
    this.socket = socket;
    this.heartbeat = setInterval(() => this.beat(), PING_MS);
  }

  /** The network is another one: connect, or find out soon whether the line still works. */
  networkChanged(): void {
    if (this.socket === null) return this.connect();
    if (this.welcomedAt === null) return;
    this.numSilentBeats = Math.max(this.numSilentBeats, SILENT_BEATS - 2);
    this.ping();
  }

  /** Connect as a new visitor. The session so far is not asked for again. */
  connectAnew(): void {
    this.resume = null;
    this.attempt = 0;
    clearInterval(this.heartbeat);
    this.socket?.close(1000);
    this.socket = null;
    this.welcomedAt = null;
    this.connect();
  }

  /** Do not try again until `connect` is called. */
  stop(): void {
    clearTimeout(this.timer);
  }

  /** False when there is no connection. The page repeats what was lost after the next welcome. */
  send(message: ClientMessage): boolean {
    if (this.welcomedAt === null || this.socket === null) return false;
    this.socket.send(encode(message));
    return true;
  }

  private sayHello(): void {
    const token = this.options.token?.();
    const { watch } = this.options;
    const resume = watch === undefined ? this.resume : null;
    this.socket?.send(
      encode({
        type: "hello",
        protocol: PROTOCOL,
        ...(token === undefined ? {} : { token }),
        ...(resume === null ? {} : { resume }),
        ...(watch === undefined ? {} : { watch }),
      }),
    );
  }

  private receive(frame: ArrayBuffer | string): void {
    this.numSilentBeats = 0;
    let message: ServerMessage | null;
    try {
      message = decode(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return this.giveUp({ code: "malformed", message: error.message });
    }
    if (message === null) return;
    if (message.type === "welcome") this.welcome(message);
    if (message.type === "media") this.played(message.frame);
    if (message.type === "chunk") this.announced(message.index);
    if (message.type === "error" && message.fatal) {
      this.cause = message;
      this.mayRetry = message.retryable;
      if (message.code === "taken_over") this.mayHandOn = false;
    }
    if (message.type === "bye") this.leave(message);
    this.events.message(message);
  }

  /** A server that stops says when it is back; until then there is nobody to connect to. */
  private leave({ reason, resume_in: backInS }: Bye): void {
    const code = backInS === undefined ? "bye" : "restarting";
    this.cause ??= { code, message: reason };
    this.backInMs = backInS === undefined ? null : backInS * MS_PER_S;
  }

  private welcome(message: Welcome): void {
    this.welcomedAt = this.now();
    this.mayHandOn = true;
    const { session, secret, resumed } = message;
    const countsMissing = message.missing_chunks !== undefined;
    this.countsMissing = resumed ? this.countsMissing || countsMissing : countsMissing;
    this.resume = resumed ? { ...this.resume, session, secret } : { session, secret };
    this.events.status({ kind: "open" });
    this.ping();
  }

  /** Only video proves that reconnecting succeeded: a full server sends `welcome` and then refuses. */
  private played(frame: number): void {
    this.attempt = 0;
    if (this.resume !== null) this.resume.fragment = frame;
  }

  private announced(chunk: number): void {
    if (this.resume !== null && this.countsMissing) this.resume.chunk = chunk;
  }

  private giveUp(cause: Cause): void {
    this.cause = cause;
    this.mayRetry = false;
    this.drop();
  }

  private beat(): void {
    this.numSilentBeats += 1;
    if (this.numSilentBeats > SILENT_BEATS) return this.drop();
    this.ping();
  }

  private ping(): void {
    this.send({ type: "ping", t: this.now() });
  }

  /** Close without waiting for the other side, which would take minutes on a dead line. */
  private drop(): void {
    this.socket?.close(1000);
    this.lost();
  }

  private closed(code: number): void {
    if (this.welcomedAt !== null) this.cause ??= CAUSE_BY_CLOSE_CODE[code] ?? null;
    this.lost();
  }

  private lost(): void {
    if (this.welcomedAt !== null && this.now() - this.welcomedAt > SETTLED_MS) this.attempt = 0;
    this.socket = null;
    this.welcomedAt = null;
    clearInterval(this.heartbeat);
    if (!this.mayRetry) return this.events.status({ kind: "failed", cause: this.cause });
    const retryMs = this.nextDelayMs();
    this.timer = setTimeout(() => this.connect(), retryMs);
    this.events.status({ kind: "waiting", retryMs, cause: this.cause });
  }

  private nextDelayMs(): number {
    const backInMs = this.backInMs;
    this.backInMs = null;
    const delayMs = retryDelayMs(this.attempt++, this.random());
    return backInMs === null ? delayMs : backInMs + delayMs;
  }
}
