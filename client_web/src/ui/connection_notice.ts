/** What the page says about the connection, and for how long. */
import type { Status } from "../net/connection";
import type { Notice } from "./notice";
import { lossInWords, remedyInWords } from "./words";

interface ConnectionNoticeParts {
  connect(): void;
  reload(): void;
  /** The server has a walk of this page, and keeps it. */
  isKept(): boolean;
}

export class ConnectionNotice {
  /** Why the connection was lost. It stays on screen until the server has resumed the walk. */
  private trouble: string | null = null;
  private remedy = remedyInWords(null);

  constructor(
    private readonly notice: Notice,
    private readonly parts: ConnectionNoticeParts,
  ) {}

  changed(status: Status): void {
    if (status.kind === "open") return;
    if (status.kind === "connecting") return this.connecting();
    const outlook = status.kind === "waiting" ? " Trying again in a moment." : "";
    this.trouble = lossInWords(status.cause, this.parts.isKept()) + outlook;
    this.remedy = remedyInWords(status.cause);
    const run = this.remedy === "Reload" ? this.parts.reload : this.parts.connect;
    this.notice.hush();
    this.notice.stay("connection", this.trouble, { label: this.remedy, run });
  }

  /** The server has answered and does what was asked. */
  over(): void {
    this.trouble = null;
    this.notice.end("connection");
  }

  private connecting(): void {
    if (this.trouble === null) this.notice.stay("connection", "Connecting…");
    else this.notice.stay("connection", this.trouble, { label: this.remedy });
  }
}
