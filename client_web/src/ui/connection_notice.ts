/** What the page says about the connection, and for how long. */
import type { Status } from "../net/connection";
import type { Notice } from "./notice";
import { lossInWords } from "./words";

export class ConnectionNotice {
  /** Why the connection was lost last; it stays on screen until the server does again what is asked of it. */
  private trouble: string | null = null;

  constructor(
    private readonly notice: Notice,
    private readonly tryNow: () => void,
  ) {}

  changed(status: Status): void {
    if (status.kind === "open") return;
    if (status.kind === "connecting") return this.connecting();
    const outlook = status.kind === "waiting" ? " Trying again in a moment." : "";
    this.trouble = lossInWords(status.cause) + outlook;
    this.notice.hush();
    this.notice.stay("connection", this.trouble, { label: "Try now", run: this.tryNow });
  }

  /** The server is there, and does what was asked of it. */
  over(): void {
    this.trouble = null;
    this.notice.end("connection");
  }

  private connecting(): void {
    if (this.trouble === null) this.notice.stay("connection", "Connecting…");
    else this.notice.stay("connection", this.trouble, { label: "Try now" });
  }
}
