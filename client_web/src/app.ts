/** The page as a whole: what happens on each message, key and click. */

import { Controls, type ControlsMessage } from "./input/controls";
import { bindInput } from "./input/input";
import { lightKeyPad } from "./input/key_pad";
import { Connection, type Status } from "./net/connection";
import type { Chunk, Media, ServerError, ServerMessage, StateChange, Welcome } from "./net/protocol";
import { openWebSocket, serverUrl } from "./net/socket";
import { type Diagnostics, type PageState, playbackSnapshot } from "./stats/diagnostics";
import { Hud } from "./stats/hud";
import { Measurements } from "./stats/measurements";
import { ConnectionNotice } from "./ui/connection_notice";
import { find } from "./ui/elements";
import { Notice } from "./ui/notice";
import { PageLine } from "./ui/notice_line";
import { PromptBar } from "./ui/prompt_bar";
import { PromptChoice } from "./ui/prompt_choice";
import { StartPanel } from "./ui/start_panel";
import { BareView, toggleFullScreen } from "./ui/view_modes";
import { beginningInWords, errorInWords, noVideoInWords, promptInWords, queueInWords } from "./ui/words";
import { Player, type ShownFrame } from "./video/player";
import { Stage } from "./video/stage";
import { Pause } from "./walk/pause";
import { beginningOf, newWalk, type Walk } from "./walk/walk";
import { saveFile, WalkRecord } from "./walk/walk_record";

const PLAYHEAD_MS = 100;
const HUD_MS = 200;
const MS_PER_S = 1_000;

export class App {
  private readonly stage = new Stage();
  private readonly notice = new Notice(new PageLine());
  private readonly connectionNotice = new ConnectionNotice(this.notice, () => this.connection.connect());
  private readonly bareView = new BareView();
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
    // What was pressed before a standstill says nothing about latency.
    jumped: () => this.measured.tracker.clear(),
    failed: (message) =>
      this.complain({ code: "player", message }, "The video broke off and was begun anew."),
    gaveUp: (reason, message) => {
      this.lastError = { code: "player", message };
      this.notice.stay("video", noVideoInWords(reason));
    },
    needsGesture: () => this.notice.stay("gesture", "Tap or press a key to start the picture."),
    playing: () => this.notice.end("gesture"),
  });
  private readonly prompts = new PromptChoice();
  private readonly promptBar = new PromptBar((prompt) => this.askFor(prompt));
  private readonly panel = new StartPanel(
    {
      start: (request, poster, picture) => this.begin(newWalk(request, poster, picture)),
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
  private readonly pause = new Pause((paused) => this.tellPause(paused));
  private lastError: Diagnostics["lastError"] = null;

  constructor(token: () => string | undefined) {
    this.connection = new Connection(
      { openSocket: (events) => openWebSocket(serverUrl(location.href), events), token },
      { status: (status) => this.statusChanged(status), message: (message) => this.received(message) },
    );
    bindInput({
      pad: this.pad,
      stage: this.stage.element,
      controls: this.controls,
      isSteering: () => this.isSteering,
      command: (code) => this.command(code),
      gesture: () => this.player.playInGesture(),
    });
    setInterval(() => this.tellPlayhead(), PLAYHEAD_MS);
    setInterval(() => this.refreshHud(), HUD_MS);
    document.addEventListener("visibilitychange", () => this.visibilityChanged());
    // A token may have been added to the address.
    for (const type of ["online", "hashchange"]) {
      window.addEventListener(type, () => this.connection.connect());
    }
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
    if (this.pause.isOn) return "paused";
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

  /** What a key does that does not steer; true when it does something. */
  private command(code: string): boolean {
    const suggestion = this.prompts.suggestionAt(code);
    if (suggestion !== undefined) {
      if (this.panel.isOpen) this.panel.suggest(suggestion);
      else this.askFor(suggestion);
      return true;
    }
    if (code === "KeyF") toggleFullScreen();
    else if (this.panel.isOpen) return this.panelCommand(code);
    else if (code === "Escape") this.openPanel();
    else if (code === "KeyR") this.connection.send({ type: "reset" });
    else if (code === "KeyP") this.togglePause();
    else if (code === "KeyH") this.toggleOverlay();
    else if (code === "KeyJ") this.saveWalk();
    else if (code === "KeyT") this.typePrompt();
    else return false;
    return true;
  }

  private typePrompt(): void {
    if (this.promptBar.focus()) return;
    this.openPanel();
    this.panel.focusPrompt();
  }

  /** Ask for another prompt; lit as asked at once, as in force when the server says so. False without a walk. */
  private askFor(prompt: string): boolean {
    if (this.walk === null) return false;
    if (!this.connection.send({ type: "prompt", text: prompt })) {
      this.walk.request = { ...this.walk.request, prompt }; // it begins anew with it
    }
    this.prompts.ask(prompt);
    this.showPrompts();
    return true;
  }

  private showPrompts(): void {
    this.promptBar.show(this.prompts);
    this.panel.showPrompt();
  }

  private toggleOverlay(): void {
    if (!this.bareView.toggle()) return this.notice.hush();
    this.notice.say("Press H to bring everything back, or move the mouse or tap and press Show.");
  }

  private panelCommand(code: string): boolean {
    const isWalking = this.walk !== null;
    if (isWalking && (code === "Escape" || code === "KeyW")) this.closePanel();
    else if (isWalking && code === "KeyJ") this.saveWalk();
    else if (isWalking && code === "KeyH") this.closeAndHide();
    else if (code === "KeyW") this.panel.start();
    else if (code === "Enter" && document.activeElement === document.body) this.panel.start();
    else return false;
    return true;
  }

  private openPanel(): void {
    this.controls.releaseAll();
    // Missing where no mouse can be caught.
    document.exitPointerLock?.();
    this.panel.open(this.walk !== null);
    this.updatePause();
  }

  private closePanel(): void {
    this.panel.close();
    this.updatePause();
  }

  private closeAndHide(): void {
    this.closePanel();
    this.toggleOverlay();
  }

  private togglePause(): void {
    this.pause.toggle();
    this.updatePause();
  }

  private updatePause(): void {
    this.pause.update(this.walk !== null, this.panel.isOpen);
  }

  private tellPause(paused: boolean): void {
    this.measured.tracker.clear();
    this.connection.send({ type: paused ? "pause" : "resume" });
  }

  private begin(walk: Walk): void {
    this.walkBefore = this.walk;
    this.walk = walk;
    this.pause.forget();
    document.body.classList.add("walking");
    this.notice.hush();
    this.panel.close();
    this.open(walk);
    this.updatePause();
    if (this.status.kind !== "open") this.connection.connect();
  }

  private open(walk: Walk): void {
    walk.opened = false;
    walk.view = null;
    this.prompts.begin(walk.request.prompt ?? "");
    this.showPrompts();
    this.stage.cover(walk.poster);
    this.connection.send({ type: "start", ...walk.request });
    this.pause.opened();
    if (this.controls.pressed.length > 0) this.controls.tellAgain();
  }

  private statusChanged(status: Status): void {
    this.status = status;
    this.connectionNotice.changed(status);
    if (status.kind !== "waiting" && status.kind !== "failed") return;
    this.notice.end("queue");
    if (status.cause !== null) this.lastError = { code: status.cause.code, message: status.cause.message };
  }

  private received(message: ServerMessage): void {
    if (message.type === "media") this.mediaReceived(message);
    else if (message.type === "chunk") this.chunkAnnounced(message);
    else if (message.type === "pong") this.measured.clock.pong(message.t, message.server, performance.now());
    else if (message.type === "welcome") this.welcomed(message);
    else if (message.type === "init") this.opened(message.mime, message.data);
    else if (message.type === "queued") this.queued(queueInWords(message.position, message.eta));
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
    if (this.walk === null || welcome.resumed) this.connectionNotice.over();
    if (this.walk === null) return this.stage.cover(this.panel.poster);
    if (welcome.resumed) return this.tellAgain();
    this.measured.reconnected();
    this.player.newSession();
    this.walkBefore = null;
    this.walk.isAgain ||= this.walk.opened;
    this.open(this.walk);
    this.updatePause();
  }

  /** What may not have been heard before the connection was lost. */
  private tellAgain(): void {
    this.controls.tellAgain();
    if (this.prompts.asked !== null) this.connection.send({ type: "prompt", text: this.prompts.asked });
  }

  private queued(words: string): void {
    this.connectionNotice.over();
    this.notice.stay("queue", words);
  }

  private opened(mime: string, data: Uint8Array<ArrayBuffer>): void {
    if (this.walk === null || this.welcome === null) return;
    this.walk.opened = true;
    this.walkBefore = null;
    this.connectionNotice.over();
    for (const state of ["queue", "video"] as const) this.notice.end(state);
    this.record.begin(beginningOf(this.walk, this.welcome));
    this.player.open(mime, data);
    this.tellBeginning(this.walk, this.welcome);
    this.tellPlayhead();
  }

  private chunkAnnounced(chunk: Chunk): void {
    this.measured.chunk(chunk);
    this.record.chunk(chunk);
  }

  private saveWalk(): void {
    if (this.record.isEmpty) return;
    saveFile("walk.json", this.record.toJson());
    this.notice.say("Your path is in walk.json: worldplay render --pose walk.json makes a clip of it.");
  }

  private mediaReceived(media: Media): void {
    this.player.append(media, performance.now());
    this.measured.media(media);
    if (this.walk?.opened) this.stage.expect(media.frame);
  }

  private frameShown(frame: ShownFrame): void {
    this.notice.end("video");
    if (this.measured.shown(frame)) this.hud.showLatencies(this.measured.latencies.values);
    if (this.stage.shown(frame.frame)) this.tellPlayhead();
  }

  private tellBeginning(walk: Walk, { worlds }: Welcome): void {
    const views = worlds.flatMap((world) => world.views);
    const words = beginningInWords(walk.isAgain, views.find((view) => view.name === walk.view)?.title);
    if (words !== null) this.notice.say(words);
    walk.isAgain = false;
  }

  private promptChanged({ text: prompt = "", chunk: firstChunk, taken_as: takenAs }: StateChange): void {
    // What comes before `init` is of a walk that was left.
    if (!this.walk?.opened) return;
    this.record.promptChanged(prompt, firstChunk);
    this.prompts.confirm(prompt, takenAs ?? null);
    this.showPrompts();
    // Should the server lose the walk, it begins anew as it is now.
    this.walk.request = { ...this.walk.request, prompt };
    const words = promptInWords(this.prompts, this.pause.isOn);
    if (this.stage.isCovered) this.notice.add(words);
    else this.notice.say(words);
  }

  private stateChanged(change: StateChange): void {
    const { what, view } = change;
    if (what === "prompt") this.promptChanged(change);
    if (what === "view" && this.walk !== null) this.walk.view = view ?? null;
    if (what === "reset") this.wentBack();
    if (what === "bump") this.stage.bump();
  }

  private wentBack(): void {
    this.record.restarted();
    this.notice.say("Back where the walk began.");
  }

  private refused(error: ServerError): void {
    if (error.fatal) return; // the connection ends for this reason, and that is said
    this.complain(error, errorInWords(error));
    this.prompts.refuse();
    this.showPrompts();
    if (this.walk !== null && !this.walk.opened) this.startRefused();
  }

  private startRefused(): void {
    this.connectionNotice.over();
    this.walk = this.walkBefore;
    document.body.classList.toggle("walking", this.walk !== null);
    if (this.walk?.opened !== false) this.notice.end("queue");
    if (this.walk === null) this.stage.cover(this.panel.poster);
    else this.goOn(this.walk);
    this.openPanel();
  }

  /** The walk before the one that was refused. */
  private goOn(walk: Walk): void {
    if (walk.opened) this.stage.uncover();
    else this.stage.cover(walk.poster);
    this.prompts.begin(walk.request.prompt ?? "");
    this.showPrompts();
  }

  private complain(error: { code: string; message: string }, words: string): void {
    this.lastError = { code: error.code, message: error.message };
    this.notice.say(words);
  }

  private tellControls(message: ControlsMessage, keysChanged: boolean): void {
    lightKeyPad(this.pad, message.keys);
    if (this.walk === null || !this.connection.send(message)) return;
    // Where nothing moves, or nobody looks, the time to the screen is the visitor's own.
    if (this.state !== "walking" || document.hidden) return;
    this.measured.tracker.controlsSent(message.seq, message.t, keysChanged);
  }

  private tellPlayhead(): void {
    if (!this.walk?.opened) return;
    const { shownS: shown, leadS: buffered, numStalls: stalled } = this.player;
    this.connection.send({ type: "playhead", shown, buffered, stalled, hidden: document.hidden });
  }

  private visibilityChanged(): void {
    if (document.hidden) this.measured.tracker.clear();
    else this.player.returned();
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
