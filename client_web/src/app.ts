/** The page as a whole: what happens on each message, key and click. */
import { type Action, actionOf } from "./input/commands";
import { Controls, type ControlsMessage } from "./input/controls";
import { bindInput } from "./input/input";
import { lightKeyPad } from "./input/key_pad";
import { Api } from "./net/api";
import { Connection, type Status } from "./net/connection";
import { browserMemory, KeptWalks } from "./net/kept_walks";
import { takeWalkLink, watchLink } from "./net/links";
import type { Chunk, ServerError, ServerMessage, StateChange, Welcome } from "./net/protocol";
import { Recording } from "./net/recording";
import { openWebSocket, serverUrl } from "./net/socket";
import type { Diagnostics, PageState } from "./stats/diagnostics";
import { ConnectionNotice } from "./ui/connection_notice";
import { find } from "./ui/elements";
import { KeptList } from "./ui/kept_list";
import { Notice } from "./ui/notice";
import { PageLine } from "./ui/notice_line";
import { PromptBar } from "./ui/prompt_bar";
import { PromptChoice } from "./ui/prompt_choice";
import { RecordingSaver } from "./ui/recording_saver";
import { ShareBox } from "./ui/share_box";
import { StartPanel } from "./ui/start_panel";
import { BareView, toggleFullScreen } from "./ui/view_modes";
import {
  ANSWER_MS,
  ASKED_IN_WORDS,
  errorInWords,
  missingInWords,
  queueInWords,
  recordingEndedInWords,
  seatedInWords,
  unsavedInWords,
  yieldedInWords,
} from "./ui/words";
import { Playback } from "./video/playback";
import { TabMemory, tabStorage } from "./walk/reload";
import { Sharing } from "./walk/sharing";
import { keptWalk, newWalk, type Walk } from "./walk/walk";
import { Walking } from "./walk/walking";

export class App {
  private readonly notice = new Notice(new PageLine());
  private readonly connectionNotice = new ConnectionNotice(this.notice, {
    connect: () => this.connection.connect(),
    reload: () => location.reload(),
    beginAnew: () => {
      this.walking.setAside(this.connection.session, this.tab);
      this.connection.connectAnew();
    },
    isKept: () => this.walk?.opened === true && (this.welcome === null || this.welcome.snapshots === true),
  });
  private readonly bareView = new BareView();
  private readonly pad = find("pad", HTMLElement);
  private readonly controls = new Controls(
    (message, keysChanged) => this.tellControls(message, keysChanged),
    () => performance.now(),
  );
  private readonly playback = new Playback(
    {
      isWalking: () => this.state === "walking",
      isOpened: () => this.walk?.opened === true,
      send: (message) => this.connection.send(message),
      failed: (message) => this.note({ code: "player", message }),
    },
    this.notice,
  );
  private readonly stage = this.playback.stage;
  private readonly prompts = new PromptChoice(() => this.showPrompts());
  private readonly promptBar = new PromptBar((prompt) => this.walking.askFor(prompt));
  private readonly panel = new StartPanel(
    {
      start: (request, poster, picture) => this.begin(newWalk(request, poster, picture)),
      prompt: (text) => this.walking.askFor(text),
      back: () => this.closePanel(),
      complaint: (message) => this.complain({ code: "bad_image", message }, message),
    },
    this.prompts,
  );
  private readonly walking = new Walking({
    controls: this.controls,
    playback: this.playback,
    prompts: this.prompts,
    panel: this.panel,
    notice: this.notice,
    connectionNotice: this.connectionNotice,
    send: (message) => this.connection.send(message),
    openPanel: (keepsPrompt) => this.openPanel(keepsPrompt),
    savePath: () => this.recordingSaver.savePath(),
  });
  private readonly tab = new TabMemory(tabStorage());
  private readonly shareBox: ShareBox = new ShareBox({
    watch: () => this.sharing.watch(),
    stop: () => this.sharing.stop(),
    video: () => this.sharing.video(),
    stopVideo: () => this.sharing.stopVideo(),
    walkOn: () => this.sharing.walkOn(),
  });
  private readonly sharing: Sharing = new Sharing({
    box: this.shareBox,
    send: (message) => this.connection.send(message),
    hasChunks: () => this.walking.hasChunks,
    keep: () => this.walking.keep(this.keptWalks.key),
    watchLink: (token) => watchLink(location.href, token),
    videoLink: (token) => (this.welcome === null ? "" : this.recording.link(this.welcome, token)),
    walkLink: (id) => this.keptWalks.link(id),
    say: (words) => this.notice.say(words),
  });
  private readonly keptWalks: KeptWalks;
  private readonly keptList: KeptList;
  private readonly recording: Recording;
  private readonly recordingSaver: RecordingSaver;
  private readonly connection: Connection;
  private readonly actions: Readonly<Record<Action, () => void>> = {
    openPanel: () => this.openMenu(),
    closePanel: () => this.closePanel(),
    start: () => this.panel.start(),
    reset: () => this.walking.reset(),
    togglePause: () => this.walking.togglePause(),
    toggleBare: () => this.toggleBare(),
    saveWalk: () => this.walking.saveWalk(),
    saveVideo: () => void this.recordingSaver.saveVideo(),
    keepWalk: () => this.keepWalk(),
    undo: () => this.walking.undo(),
    share: () => this.share(),
    typePrompt: () => this.typePrompt(),
    toggleFullScreen: () => toggleFullScreen(),
  };
  private status: Status = { kind: "connecting" };
  private welcome: Welcome | null = null;
  private lastError: Diagnostics["lastError"] = null;

  constructor(token: () => string | undefined) {
    const left = this.tab.take() ?? this.tab.takeSetAside();
    const resume = left?.resume;
    this.connection = new Connection(
      { openSocket: (events) => openWebSocket(serverUrl(location.href), events), token, resume },
      { status: (status) => this.statusChanged(status), message: (message) => this.received(message) },
    );
    const api = new Api(location.href, token, (url, init) => fetch(url, init));
    this.keptWalks = new KeptWalks(api, browserMemory());
    this.recording = new Recording(api);
    this.recordingSaver = new RecordingSaver(this.recording, (words) => this.notice.say(words));
    this.keptList = new KeptList(this.keptWalks, {
      open: (id) => this.begin(keptWalk(id)),
      say: (words) => this.notice.say(words),
    });
    bindInput({
      pad: this.pad,
      stage: this.stage.element,
      controls: this.controls,
      isSteering: () => this.walk !== null && !this.panel.isOpen && !this.shareBox.isOpen,
      command: (code) => this.command(code),
      gesture: () => this.playback.playInGesture(),
    });
    this.playback.showNumbers(
      () => this.welcome,
      () => this.controls.lastSeq,
    );
    // A walk that goes on in another window is not taken back by itself.
    window.addEventListener("online", () => {
      if (this.status.kind !== "failed") this.connection.networkChanged();
    });
    // The visitor may have added a token or a link to the address.
    window.addEventListener("hashchange", () =>
      this.status.kind === "open" ? this.openLink() : this.connection.connect(),
    );
    window.addEventListener("pagehide", () => this.leave());
    window.addEventListener("pageshow", () => this.tab.take()); // the browser may bring a page back as it was
    this.stage.cover(null);
    if (left === null) this.panel.open(false);
    else this.walking.reload(left);
    this.connection.connect();
  }

  snapshot(): Diagnostics {
    return {
      ...this.playback.snapshot(),
      state: this.state,
      session: this.welcome?.session ?? null,
      latch: this.welcome?.latch ?? null,
      keys: this.controls.pressed,
      seq: this.controls.lastSeq,
      prompt: this.prompts.current,
      lastError: this.lastError,
    };
  }

  /** The tab is reloaded or closed, or goes to another page. */
  private leave(): void {
    const left = this.walking.leave(this.connection.session);
    if (left !== null) this.tab.leave(left);
  }

  private get walk(): Walk | null {
    return this.walking.walk;
  }

  private get state(): PageState {
    if (this.status.kind === "failed") return "failed";
    if (this.status.kind !== "open") return this.welcome === null ? "connecting" : "reconnecting";
    if (this.walk === null) return "choosing";
    if (this.walking.isPaused) return "paused";
    return this.stage.isCovered ? "starting" : "walking";
  }

  /** What a key does that does not steer; true when it does something. */
  private command(code: string): boolean {
    if (this.shareBox.isOpen) return false;
    const suggestion = this.prompts.suggestionAt(code);
    if (suggestion !== undefined) {
      if (this.panel.isOpen) this.panel.suggest(suggestion);
      else this.walking.askFor(suggestion);
      return true;
    }
    const action = actionOf(code, {
      isPanelOpen: this.panel.isOpen,
      isWalking: this.walk !== null,
      hasFocus: document.activeElement !== document.body,
    });
    if (action !== null) this.actions[action]();
    return action !== null;
  }

  private typePrompt(): void {
    if (this.promptBar.focus()) return;
    this.openPanel();
    this.panel.focusPrompt();
  }

  private toggleBare(): void {
    if (this.panel.isOpen) this.closePanel();
    if (!this.bareView.toggle()) return this.notice.hush();
    this.notice.say("Press H to bring everything back, or move the mouse or tap, and press Show.");
  }

  /** What was just said of the walk would cover the panel. */
  private openMenu(): void {
    this.notice.hush();
    this.openPanel();
  }

  private openPanel(keepsPrompt = false): void {
    this.controls.releaseAll();
    // Missing in browsers that cannot capture the mouse.
    document.exitPointerLock?.();
    this.panel.open(this.walk !== null, keepsPrompt);
    this.walking.updatePause();
  }

  private closePanel(): void {
    this.panel.close();
    this.walking.updatePause();
  }

  private tellControls(message: ControlsMessage, keysChanged: boolean): void {
    lightKeyPad(this.pad, message.keys);
    this.notice.end("idle");
    if (this.walk === null || !this.connection.send(message)) return;
    this.playback.controlsSent(message.seq, message.t, keysChanged);
  }

  private begin(walk: Walk): void {
    this.sharing.begun();
    this.walking.begin(walk);
    if (this.status.kind !== "open") this.connection.connect();
  }

  private opened(mime: string, data: Uint8Array<ArrayBuffer>): void {
    if (this.welcome !== null) this.walking.opened(mime, data, this.welcome);
  }

  private showPrompts(): void {
    this.promptBar.show(this.prompts);
    this.panel.showPrompt();
  }

  private statusChanged(status: Status): void {
    this.status = status;
    this.connectionNotice.changed(status);
    if (status.kind !== "waiting" && status.kind !== "failed") return;
    for (const state of ["queue", "idle"] as const) this.notice.end(state);
    if (status.cause !== null) this.note(status.cause);
  }

  private received(message: ServerMessage): void {
    const { playback } = this;
    if (message.type === "media") playback.mediaReceived(message);
    else if (message.type === "chunk") this.chunkAnnounced(message);
    else if (message.type === "pong") playback.measured.pong(message.t, message.server);
    else if (message.type === "received") playback.measured.tracker.controlsReceived(message.seq, message.at);
    else if (message.type === "welcome") this.welcomed(message);
    else if (message.type === "init") this.opened(message.mime, message.data);
    else if (message.type === "queued") this.queued(queueInWords(message.position, message.eta));
    else if (message.type === "bookmarked") this.kept(message.snapshot);
    else if (message.type === "shared") this.sharing.shared(message.token, message.right);
    else if (message.type === "watchers") this.sharing.watchersChanged(message.count);
    else if (message.type === "state") this.stateChanged(message);
    else if (message.type === "error") this.refused(message);
  }

  private welcomed(welcome: Welcome): void {
    this.welcome = welcome;
    this.prompts.suggestions = welcome.worlds[0]?.suggestions ?? [];
    this.promptBar.offer(this.prompts, welcome.limits.prompt_chars ?? 0);
    this.panel.offer(welcome);
    this.showPrompts();
    this.playback.welcomed(welcome);
    this.playback.measured.clock.reset();
    this.keptList.offer(welcome);
    this.recordingSaver.offer(welcome);
    this.walking.reconnected(welcome.resumed);
    this.sharing.welcomed(welcome, this.walk !== null);
    this.tellMissing(welcome);
    this.openLink();
  }

  private tellMissing({ missing_chunks: num = 0, chunk, fps }: Welcome): void {
    const words = missingInWords((num * (chunk.frames ?? 0)) / fps);
    if (words !== null) this.notice.add(words);
  }

  /** Go on with the walk that the address names. */
  private openLink(): void {
    const id = takeWalkLink();
    if (id !== null) this.begin(keptWalk(id));
  }

  private keepWalk(): void {
    if (this.welcome?.snapshots !== true) return this.notice.say("This server keeps no walks.");
    this.walking.keep(this.keptWalks.key);
  }

  private kept(id: string): void {
    if (!this.sharing.kept(id))
      this.notice.say("This place is kept. The menu has it: walk on from there, share or download it.");
    void this.keptList.refresh();
  }

  private share(): void {
    this.controls.releaseAll();
    document.exitPointerLock?.();
    if (!this.sharing.open()) this.notice.say("This server offers no links.");
  }

  private queued(words: string): void {
    this.connectionNotice.over();
    this.notice.stay("queue", words);
  }

  private seated(): void {
    this.playback.interrupted();
    this.notice.end("queue");
    if (this.walk?.opened === true) this.notice.say(seatedInWords(this.walking.isPaused));
  }

  private chunkAnnounced(chunk: Chunk): void {
    this.notice.end("queue"); // also of a walk that goes on, after others had its place
    this.playback.chunkAnnounced(chunk);
    this.walking.chunkAnnounced(chunk);
  }

  private stateChanged(change: StateChange): void {
    const { what, view, text } = change;
    if (what === "prompt") this.walking.promptChanged(change);
    if (what === "view") this.walking.startsAt(view ?? null);
    if (what === "reset") this.walking.wentBack();
    if (what === "rewound") this.walking.rewound(change.chunk);
    if (what === "bump") this.stage.bump();
    if (what === "idle") this.notice.stayFor("idle", ASKED_IN_WORDS, ANSWER_MS);
    if (what === "yielded") this.yielded(text ?? "");
    if (what === "recording_ended") this.notice.say(recordingEndedInWords(text ?? ""));
    if (what === "unsaved") this.notice.add(unsavedInWords(text ?? ""));
    if (what === "saved") this.notice.say("Your walk is saved again.");
    if (what === "seated") this.seated();
    if (what === "paused" || what === "resumed") this.walking.pauseConfirmed(what);
  }

  private yielded(reason: string): void {
    this.notice.end("idle");
    this.notice.say(yieldedInWords(reason));
  }

  private refused(error: ServerError): void {
    if (error.fatal) return; // the notice about the lost connection gives this reason
    const words = errorInWords(error, this.walking.opensKept);
    this.complain(error, words);
    this.walking.refused();
    this.sharing.refused(words);
  }

  private note({ code, message }: { code: string; message: string }): void {
    this.lastError = { code, message };
  }

  private complain(error: { code: string; message: string }, words: string): void {
    this.note(error);
    this.notice.say(words);
  }
}
