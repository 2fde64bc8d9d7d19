/** The WebSocket to the server: hello and welcome, heartbeat, and coming back after a loss. */
import {
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

export type Status =
  | { kind: "connecting" }
  | { kind: "open" }
  | { kind: "waiting"; retryMs: number; cause: Cause }
  | { kind: "failed"; cause: Cause };

/** Why a connection ended: the server's own words, or null when it just went away. */
export type Cause = Pick<ServerError, "code" | "message"> | null;

export interface SocketEvents {
  opened(): void;
  received(frame: ArrayBuffer | string): void;
  closed(): void;
}

export interface Socket {
  send(frame: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

export interface ConnectionEvents {
  status(status: Status): void;
  message(message: ServerMessage): void;
}

export interface ConnectionOptions {
  openSocket(events: SocketEvents): Socket;
  token?: string;
  random?(): number;
  now?(): number;
}

const FIRST_RETRY_MS = 400;
const LONGEST_RETRY_MS = 10_000;
const PING_MS = 1_000;
/** Without a word for so long, pongs included, the line is dead even if the socket does not say so. */
const SILENCE_MS = 8_000;

/** Time before the next attempt: doubling, and spread so that many pages do not come back at once. */
export function retryDelayMs(attempt: number, random: number): number {
  const ceiling = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** attempt);
  return ceiling * (0.5 + random / 2);
}

export class Connection {
  private socket: Socket | null = null;
  private welcomed = false;
  private attempt = 0;
  private cause: Cause = null;
  private mayRetry = true;
  private resume: Resume | null = null;
  private heardAt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private heartbeat: ReturnType<typeof setInterval> | undefined;
  private readonly random: () => number;
  private readonly now: () => number;

  constructor(
    private readonly options: ConnectionOptions,
    private readonly events: ConnectionEvents,
  ) {
    this.random = options.random ?? Math.random;
    this.now = options.now ?? (() => performance.now());
  }

  get isOpen(): boolean {
    return this.welcomed;
  }

  /** Connect now; also the visitor's "try again". */
  connect(): void {
    clearTimeout(this.timer);
    if (this.socket !== null) return;
    this.cause = null;
    this.mayRetry = true;
    this.heardAt = this.now();
    this.events.status({ kind: "connecting" });
    const socket = this.options.openSocket({
      opened: () => this.sayHello(),
      received: (frame) => this.socket === socket && this.receive(frame),
      closed: () => this.socket === socket && this.lost(),
    });
    this.socket = socket;
    this.heartbeat = setInterval(() => this.beat(), PING_MS);
  }

  /** False when there is nobody to send to: what is lost then is told again after the next welcome. */
  send(message: ClientMessage): boolean {
    if (!this.welcomed || this.socket === null) return false;
    this.socket.send(encode(message));
    return true;
  }

  private sayHello(): void {
    const { token } = this.options;
    this.socket?.send(
      encode({
        type: "hello",
        protocol: PROTOCOL,
        ...(token === undefined ? {} : { token }),
        ...(this.resume === null ? {} : { resume: this.resume }),
      }),
    );
  }

  private receive(frame: ArrayBuffer | string): void {
    this.heardAt = this.now();
    let message: ServerMessage | null;
    try {
      message = decode(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return this.giveUp({ code: "malformed", message: error.message });
    }
    if (message === null) return;
    if (message.type === "welcome") this.welcome(message);
    if (message.type === "media" && this.resume !== null) this.resume.fragment = message.frame;
    if (message.type === "error" && message.fatal) {
      this.cause = message;
      this.mayRetry = message.retryable;
    }
    if (message.type === "bye") this.cause ??= { code: "bye", message: message.reason };
    this.events.message(message);
  }

  private welcome(message: Welcome): void {
    this.welcomed = true;
    this.attempt = 0;
    this.resume = { session: message.session, secret: message.secret, fragment: this.resume?.fragment ?? 0 };
    if (!message.resumed) this.resume.fragment = 0;
    this.events.status({ kind: "open" });
    this.ping();
  }

  private giveUp(cause: Cause): void {
    this.cause = cause;
    this.mayRetry = false;
    this.drop();
  }

  private beat(): void {
    if (this.now() - this.heardAt > SILENCE_MS) return this.drop();
    this.ping();
  }

  private ping(): void {
    this.send({ type: "ping", t: this.now() });
  }

  /** Close from this side without waiting for the other: a dead line would take minutes to agree. */
  private drop(): void {
    this.socket?.close(1000);
    this.lost();
  }

  private lost(): void {
    this.socket = null;
    this.welcomed = false;
    clearInterval(this.heartbeat);
    if (!this.mayRetry) return this.events.status({ kind: "failed", cause: this.cause });
    const retryMs = retryDelayMs(this.attempt++, this.random());
    this.timer = setTimeout(() => this.connect(), retryMs);
    this.events.status({ kind: "waiting", retryMs, cause: this.cause });
  }
}
