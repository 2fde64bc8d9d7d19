/** The page of somebody who watches: the walk of somebody else, without any controls. */
import { type Cause, Connection, type Status } from "../net/connection";
import { withoutLink } from "../net/links";
import type { Init, Media, ServerMessage, Watchers, Welcome } from "../net/protocol";
import { openWebSocket, watchUrl } from "../net/socket";
import { Notice } from "../ui/notice";
import { PageLine } from "../ui/notice_line";
import { overInWords, waitingInWords, walkerInWords } from "../ui/watch_words";
import { noVideoInWords } from "../ui/words";
import { speedFor } from "../video/pace";
import { Player } from "../video/player";
import { Stage } from "../video/stage";
import { Comeback } from "./comeback";
import { WatchLine } from "./watch_line";

export class WatchPage {
  private readonly notice = new Notice(new PageLine());
  private readonly stage = new Stage();
  private readonly line = new WatchLine(() => this.leave());
  private readonly comeback = new Comeback(() => performance.now());
  private readonly player: Player;
  private readonly connection: Connection;
  private isMoving = false;

  constructor(watch: string, token: () => string | undefined) {
    this.player = new Player(this.stage.video, {
      isExpecting: () => this.isMoving,
      shown: ({ frame }) => {
        this.notice.end("video");
        this.stage.shown(frame);
      },
      stalled: () => undefined,
      jumped: () => undefined,
      failed: () => this.notice.say("The video failed and was started again."),
      gaveUp: (reason) => this.notice.stay("video", noVideoInWords(reason)),
      needsGesture: () => this.notice.stay("gesture", "Tap or press a key to start the picture."),
      playing: () => this.notice.end("gesture"),
    });
    this.connection = new Connection(
      { openSocket: (events) => openWebSocket(watchUrl(location.href), events), token, watch },
      { status: (status) => this.statusChanged(status), message: (message) => this.received(message) },
    );
    document.body.classList.add("watching");
    this.bind();
    this.stage.cover(null);
    this.connection.connect();
  }

  private bind(): void {
    for (const type of ["pointerup", "click", "keydown"]) {
      window.addEventListener(type, () => this.player.playInGesture(), { capture: true });
    }
    window.addEventListener("online", () => this.connection.networkChanged());
    window.addEventListener("hashchange", () => this.connection.connect()); // it may have a token now
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.player.returned();
    });
  }

  private received(message: ServerMessage): void {
    if (message.type === "media") this.mediaReceived(message);
    else if (message.type === "init") this.opened(message);
    else if (message.type === "watchers") this.tell(message);
    else if (message.type === "welcome") this.welcomed(message);
    else if (message.type === "bye") this.comeback.said(message);
  }

  private welcomed({ times_real_time: timesRealTime }: Welcome): void {
    this.comeback.watches();
    this.player.setSpeed(speedFor(timesRealTime));
    this.player.newSession();
    this.notice.end("connection");
  }

  private opened({ mime, data }: Init): void {
    this.notice.end("video");
    this.stage.cover(null);
    this.player.open(mime, data);
  }

  private mediaReceived(media: Media): void {
    this.comeback.watches();
    this.stage.expect(media.frame);
    this.player.append(media, performance.now());
  }

  private tell(watchers: Watchers): void {
    this.line.show(watchers);
    const words = walkerInWords(watchers);
    this.isMoving = words === null;
    if (words === null) this.notice.end("queue");
    else this.notice.stay("queue", words);
  }

  private statusChanged(status: Status): void {
    if (status.kind === "open") return;
    this.isMoving = false;
    this.line.hide();
    this.notice.end("queue");
    if (status.kind === "connecting") return this.notice.stay("connection", "Connecting…");
    const ending = this.comeback.ending(status);
    if (ending !== null) return this.end(ending);
    if (status.kind === "failed") this.comeback.later(() => this.connection.connect());
    const tryNow = { label: "Try now", run: () => this.connection.connect() };
    this.notice.stay("connection", waitingInWords(status.cause), tryNow);
  }

  private end(cause: Cause): void {
    this.connection.stop();
    this.notice.stay("connection", overInWords(cause), {
      label: "Walk yourself",
      run: () => this.leave(),
    });
  }

  /** To the page of a walker. */
  private leave(): void {
    location.assign(`${location.pathname}${location.search}${withoutLink(location.hash, "watch")}`);
  }
}
