/** What the page says about the connection, and for how long. */
import type { Status } from "../net/connection";
import type { Notice } from "./notice";
import { lossInWords } from "./words";

export class ConnectionNotice {
  /** Why the connection was lost. It stays on screen until the server has resumed the walk. */
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

  /** The server has answered and does what was asked. */
  over(): void {
    this.trouble = null;
    this.notice.end("connection");
  }

  private connecting(): void {
    if (this.trouble === null) this.notice.stay("connection", "Connecting…");
    else this.notice.stay("connection", this.trouble, { label: "Try now" });
  }
}
