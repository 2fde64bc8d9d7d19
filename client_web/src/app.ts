/** The page as a whole: what happens on each message, key and click. */
import { Connection, type Status } from "./connection";
import { Controls, type ControlsMessage } from "./controls";
import { type Diagnostics, type PageState, playbackSnapshot } from "./diagnostics";
import { find } from "./elements";
import { Hud } from "./hud";
import { bindKeyPad, lightKeyPad } from "./key_pad";
import { bindKeyboard } from "./keyboard";
import { Measurements } from "./measurements";
import { Notice } from "./notice";
import { Player, type ShownFrame } from "./player";
import { bindPointer } from "./pointer";
import { PromptBar } from "./prompt_bar";
import { PromptChoice } from "./prompt_choice";
import type {
  Chunk,
  Media,
  ServerError,
  ServerMessage,
  StartRequest,
  StateChange,
  Welcome,
} from "./protocol";
import { openWebSocket, serverUrl } from "./socket";
import { Stage } from "./stage";
import { StartPanel } from "./start_panel";
import { saveFile, WalkRecord } from "./walk_record";
import { errorInWords, lossInWords, promptInWords, queueInWords } from "./words";

const PLAYHEAD_MS = 100;
const HUD_MS = 200;
const MS_PER_S = 1_000;

interface Walk {
  request: StartRequest;
  poster: string | null;
  /** Its init segment has come: what comes next is its video. */
  opened: boolean;
  /** Name of the start view that stands for the visitor's picture, where the world cannot walk into it. */
  view: string | null;
}

export class App {
  private readonly stage = new Stage();
  private readonly notice = new Notice();
  private readonly hud = new Hud();
  private readonly measured = new Measurements();
  private readonly record = new WalkRecord();
  private readonly pad = find("pad", HTMLElement);
  private readonly controls = new Controls(
    (message, keysChanged) => this.tellControls(message, keysChanged),
    () => performance.now(),
  );
  private readonly player = new Player(this.stage.video, {
    isExpecting: () => this.state === "walking",
    shown: (frame) => this.frameShown(frame),
    stalled: () => this.tellPlayhead(),
    failed: (message) =>
      this.complain({ code: "player", message }, "The video broke off and was begun anew."),
  });
  private readonly prompts = new PromptChoice();
  private readonly promptBar = new PromptBar((prompt) => this.askFor(prompt));
  private readonly panel = new StartPanel(
    {
      start: (request, poster) => this.begin({ request, poster, opened: false, view: null }),
      prompt: (text) => this.askFor(text),
      back: () => this.closePanel(),
      complaint: (message) => this.complain({ code: "bad_image", message }, message),
    },
    this.prompts,
  );
  private readonly connection: Connection;
  private status: Status = { kind: "connecting" };
  private walk: Walk | null = null;
  /** Where a refused start leaves the visitor. */
  private walkBefore: Walk | null = null;
  private welcome: Welcome | null = null;
  private paused = false;
  private pausedByVisitor = false;
  private lastError: Diagnostics["lastError"] = null;

  constructor(token: string | undefined) {
    this.connection = new Connection(
      {
        openSocket: (events) => openWebSocket(serverUrl(location.href), events),
        ...(token === undefined ? {} : { token }),
      },
      { status: (status) => this.statusChanged(status), message: (message) => this.received(message) },
    );
    this.bindInput();
    setInterval(() => this.tellPlayhead(), PLAYHEAD_MS);
    setInterval(() => this.refreshHud(), HUD_MS);
    document.addEventListener("visibilitychange", () => this.visibilityChanged());
    window.addEventListener("online", () => this.connection.connect());
    this.stage.cover(null);
    this.panel.open(false);
    this.connection.connect();
  }

  private get isSteering(): boolean {
    return this.walk !== null && !this.panel.isOpen;
  }

  private get state(): PageState {
    if (this.status.kind === "failed") return "failed";
    if (this.status.kind !== "open") return this.welcome === null ? "connecting" : "reconnecting";
    if (this.walk === null) return "choosing";
    if (this.paused) return "paused";
    return this.stage.isCovered ? "starting" : "walking";
  }

  snapshot(): Diagnostics {
    return {
      ...playbackSnapshot(this.player, this.measured),
      state: this.state,
      session: this.welcome?.session ?? null,
      keys: this.controls.pressed,
      seq: this.controls.lastSeq,
      prompt: this.prompts.current,
      lastError: this.lastError,
    };
  }

  private bindInput(): void {
    const isSteering = (): boolean => this.isSteering;
    bindKeyboard({
      window,
      document,
      controls: this.controls,
      isSteering,
      command: (code) => this.command(code),
    });
    bindKeyPad(this.pad, this.controls, isSteering);
    bindPointer(this.stage.element, this.controls, isSteering);
    for (const button of document.querySelectorAll<HTMLElement>("[data-command]")) {
      button.addEventListener("click", () => this.command(button.dataset.command ?? ""));
    }
  }

  /** What a key does that does not steer; true when it does something. */
  private command(code: string): boolean {
    const suggestion = this.suggestionAt(code);
    if (suggestion !== undefined) {
      if (this.panel.isOpen) this.panel.suggest(suggestion);
      else this.askFor(suggestion);
      return true;
    }
    if (this.panel.isOpen) return this.panelCommand(code);
    if (code === "Escape") this.openPanel();
    else if (code === "KeyR") this.connection.send({ type: "reset" });
    else if (code === "KeyP") this.togglePause();
    else if (code === "KeyH") this.toggleOverlay();
    else if (code === "KeyJ") this.saveWalk();
    else if (code === "KeyT") this.typePrompt();
    else return false;
    return true;
  }

  /** The digits of both rows press the suggested prompts. */
  private suggestionAt(code: string): string | undefined {
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(code)?.[1];
    return digit === undefined ? undefined : this.prompts.suggestions[Number(digit) - 1]?.prompt;
  }

  private typePrompt(): void {
    if (this.promptBar.focus()) return;
    this.openPanel();
    this.panel.focusPrompt();
  }

  /** Ask for another prompt; lit as asked at once, and as in force when the server says so. */
  private askFor(prompt: string): void {
    if (this.walk === null || !this.connection.send({ type: "prompt", text: prompt })) return;
    this.prompts.ask(prompt);
    this.showPrompts();
  }

  private showPrompts(): void {
    this.promptBar.show(this.prompts);
    this.panel.showPrompt();
  }

  private toggleOverlay(): void {
    const bare = document.body.classList.toggle("bare");
    if (bare) this.notice.say("Press H to bring everything back.");
    else this.notice.clear();
  }

  private panelCommand(code: string): boolean {
    const isWalking = this.walk !== null;
    if (isWalking && (code === "Escape" || code === "KeyW")) this.closePanel();
    else if (code === "KeyW") this.panel.start();
    else if (code === "Enter" && document.activeElement === document.body) this.panel.start();
    else return false;
    return true;
  }

  private openPanel(): void {
    this.controls.releaseAll();
    document.exitPointerLock();
    this.panel.open(this.walk !== null);
    this.updatePause();
  }

  private closePanel(): void {
    this.panel.close();
    this.updatePause();
  }

  private togglePause(): void {
    this.pausedByVisitor = !this.pausedByVisitor;
    this.updatePause();
  }

  /** A walk behind the open panel rests: its frames would be made for nobody. */
  private updatePause(): void {
    const paused = this.walk !== null && (this.pausedByVisitor || this.panel.isOpen);
    if (paused === this.paused) return;
    this.paused = paused;
    this.connection.send({ type: paused ? "pause" : "resume" });
    document.body.classList.toggle("paused", this.pausedByVisitor);
  }

  private begin(walk: Walk): void {
    this.walkBefore = this.walk;
    this.walk = walk;
    this.pausedByVisitor = false;
    document.body.classList.add("walking");
    this.notice.clear();
    this.panel.close();
    this.open(walk);
    this.updatePause();
  }

  private open(walk: Walk): void {
    walk.opened = false;
    walk.view = null;
    this.prompts.begin(walk.request.prompt ?? "");
    this.showPrompts();
    this.stage.cover(walk.poster);
    this.connection.send({ type: "start", ...walk.request });
    // A walk that was just opened is never paused.
    this.paused = false;
    if (this.controls.pressed.length > 0) this.controls.tellAgain();
  }

  private statusChanged(status: Status): void {
    this.status = status;
    if (status.kind === "open") return this.notice.clear();
    if (status.kind === "connecting") return this.notice.stay("Connecting…");
    const again = { label: "Try now", run: () => this.connection.connect() };
    if (status.cause !== null) this.lastError = { code: status.cause.code, message: status.cause.message };
    const outlook = status.kind === "waiting" ? " Trying again in a moment." : "";
    this.notice.stay(lossInWords(status.cause) + outlook, again);
  }

  private received(message: ServerMessage): void {
    if (message.type === "media") this.mediaReceived(message);
    else if (message.type === "chunk") this.chunkAnnounced(message);
    else if (message.type === "pong") this.measured.clock.pong(message.t, message.server, performance.now());
    else if (message.type === "welcome") this.welcomed(message);
    else if (message.type === "init") this.opened(message.mime, message.data);
    else if (message.type === "queued") this.notice.stay(queueInWords(message.position, message.eta));
    else if (message.type === "state") this.stateChanged(message);
    else if (message.type === "error") this.refused(message);
  }

  private welcomed(welcome: Welcome): void {
    this.welcome = welcome;
    this.prompts.suggestions = welcome.worlds[0]?.suggestions ?? [];
    this.promptBar.offer(this.prompts, welcome.limits.prompt_chars ?? 0);
    this.panel.offer(welcome);
    this.showPrompts();
    this.measured.clock.reset();
    if (this.walk === null) return this.stage.cover(this.panel.poster);
    if (welcome.resumed) return this.controls.tellAgain();
    this.measured.reconnected();
    this.player.newSession();
    this.notice.say("Connected again. The server no longer has your walk, so it begins anew.");
    this.open(this.walk);
    this.updatePause();
  }

  private opened(mime: string, data: Uint8Array<ArrayBuffer>): void {
    if (this.walk === null) return;
    this.walk.opened = true;
    this.player.open(mime, data);
    this.tellLikeness(this.walk.view);
    this.tellPlayhead();
  }

  private chunkAnnounced(chunk: Chunk): void {
    this.measured.chunk(chunk);
    this.record.chunk(chunk);
  }

  private saveWalk(): void {
    if (this.walk === null || this.record.isEmpty) return;
    saveFile("walk.json", this.record.toJson(this.walk.request));
    this.notice.say("Your path is in walk.json: worldplay render --pose walk.json makes a clip of it.");
  }

  private mediaReceived(media: Media): void {
    this.player.append(media, performance.now());
    this.measured.media(media);
    if (this.walk?.opened) this.stage.expect(media.frame);
  }

  private frameShown(frame: ShownFrame): void {
    if (this.measured.shown(frame)) this.hud.showLatencies(this.measured.latencies.values);
    if (this.stage.shown(frame.frame)) this.tellPlayhead();
  }

  /** A place in the queue is history now; where one's own picture starts is news. */
  private tellLikeness(name: string | null): void {
    const views = this.welcome?.worlds.flatMap((world) => world.views) ?? [];
    const title = views.find((view) => view.name === name)?.title;
    if (title === undefined) this.notice.clear();
    else this.notice.say(`Your picture looks most like “${title}”, so the walk starts there.`);
  }

  private promptChanged(prompt: string): void {
    // What comes before `init` is of a walk that was left.
    if (!this.walk?.opened) return;
    this.prompts.confirm(prompt);
    this.showPrompts();
    // Should the server lose the walk, it begins anew as it is now.
    this.walk.request = { ...this.walk.request, prompt };
    this.notice.say(promptInWords(prompt, this.prompts.suggested(prompt)?.title, this.paused));
  }

  private stateChanged({ what, text, view }: StateChange): void {
    if (what === "prompt") this.promptChanged(text ?? "");
    if (what === "view" && this.walk !== null) this.walk.view = view ?? null;
    if (what === "reset") this.notice.say("Back where the walk began.");
    if (what === "bump") this.stage.bump();
  }

  private refused(error: ServerError): void {
    this.complain(error, errorInWords(error));
    this.prompts.refuse();
    this.showPrompts();
    if (error.fatal || this.walk === null || this.walk.opened) return;
    this.walk = this.walkBefore;
    document.body.classList.toggle("walking", this.walk !== null);
    if (this.walk !== null) {
      this.stage.uncover();
      this.prompts.begin(this.walk.request.prompt ?? "");
      this.showPrompts();
    }
    this.openPanel();
  }

  private complain(error: { code: string; message: string }, words: string): void {
    this.lastError = { code: error.code, message: error.message };
    this.notice.say(words);
  }

  private tellControls(message: ControlsMessage, keysChanged: boolean): void {
    lightKeyPad(this.pad, message.keys);
    if (this.walk === null || !this.connection.send(message)) return;
    this.measured.tracker.controlsSent(message.seq, message.t, keysChanged);
  }

  private tellPlayhead(): void {
    if (!this.walk?.opened) return;
    const { shownS: shown, leadS: buffered, numStalls: stalled } = this.player;
    this.connection.send({ type: "playhead", shown, buffered, stalled, hidden: document.hidden });
  }

  private visibilityChanged(): void {
    if (!document.hidden) this.player.returned();
    this.tellPlayhead();
  }

  private refreshHud(): void {
    const { frameRate, cost } = this.measured;
    this.hud.showNumbers({
      framesPerSecond: frameRate.perSecond(performance.now()),
      leadS: this.player.leadS,
      numStalls: this.player.numStalls,
      seq: this.controls.lastSeq,
    });
    const { fps = 24, chunk } = this.welcome ?? {};
    this.hud.showCost(cost, ((chunk?.frames ?? 16) / fps) * MS_PER_S);
  }
}
