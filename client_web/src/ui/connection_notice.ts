/** What the page says about the connection, and for how long. */
import type { Status } from "../net/connection";
import type { Notice } from "./notice";
import { lossInWords, remedyInWords } from "./words";

/** Refusals: the store may fail for good, so another walk is offered. */
const STUCK_AFTER = 3;

interface ConnectionNoticeParts {
  connect(): void;
  reload(): void;
  beginAnew(): void;
  /** The server has a walk of this page, and keeps it. */
  isKept(): boolean;
}

export class ConnectionNotice {
  /** Why the connection was lost. It stays on screen until the server has resumed the walk. */
  private trouble: string | null = null;
  private remedy = remedyInWords(null);
  /** How often in a row the server could not take the walk back. */
  private numRefusals = 0;

  constructor(
    private readonly notice: Notice,
    private readonly parts: ConnectionNoticeParts,
  ) {}

  changed(status: Status): void {
    if (status.kind === "open") return;
    if (status.kind === "connecting") return this.connecting();
    const outlook = status.kind === "waiting" ? " Trying again in a moment." : "";
    const isKept = this.parts.isKept();
    if (isKept && status.cause?.code === "busy") this.numRefusals += 1;
    this.trouble = lossInWords(status.cause, isKept) + outlook;
    this.remedy = remedyInWords(status.cause, this.numRefusals >= STUCK_AFTER);
    this.notice.hush();
    this.notice.stay("connection", this.trouble, { label: this.remedy, run: this.chooseRun() });
  }

  /** The server has answered and does what was asked. */
  over(): void {
    this.trouble = null;
    this.numRefusals = 0;
    this.notice.end("connection");
  }

  private chooseRun(): () => void {
    if (this.remedy === "Reload") return this.parts.reload;
    return this.remedy === "New walk" ? this.parts.beginAnew : this.parts.connect;
  }

  private connecting(): void {
    if (this.trouble === null) this.notice.stay("connection", "Connecting…");
    else this.notice.stay("connection", this.trouble, { label: this.remedy });
  }
}
