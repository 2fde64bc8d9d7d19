/** The walk on this page from its start to its end: opened, paused, given prompts, refused, begun again. */
import type { Controls } from "../input/controls";
import type { Chunk, ClientMessage, Resume, StateChange, Welcome } from "../net/protocol";
import type { ConnectionNotice } from "../ui/connection_notice";
import type { Notice } from "../ui/notice";
import type { PromptChoice } from "../ui/prompt_choice";
import type { StartPanel } from "../ui/start_panel";
import { beginningInWords, NO_CONNECTION, promptInWords, SET_ASIDE_IN_WORDS } from "../ui/words";
import { paceInWords } from "../video/pace";
import type { Playback } from "../video/playback";
import { Pause } from "./pause";
import { fromKeyFrame, type LeftWalk, type TabMemory } from "./reload";
import { beginningOf, reloadedWalk, type Walk, Walks } from "./walk";
import { PATH_SAVED, saveFile, WalkRecord } from "./walk_record";

/** What a walk needs of the page. */
interface WalkingParts {
  controls: Controls;
  playback: Playback;
  prompts: PromptChoice;
  panel: StartPanel;
  notice: Notice;
  connectionNotice: ConnectionNotice;
  /** False when there is nobody to send to. */
  send(message: ClientMessage): boolean;
  /** With the prompt that is typed there, or else the walk's. */
  openPanel(keepsPrompt?: boolean): void;
  /** Save the path of the walk as the server knows it; false if it does not. */
  savePath(): boolean;
}

/** Of two thirds of a second each. */
const UNDONE_CHUNKS = 4;
const KEEP_INSTEAD =
  "The page does not know how this walk began: keep it with B, and download it from the menu.";

export class Walking {
  private readonly walks = new Walks();
  private readonly record = new WalkRecord();
  private readonly pause = new Pause((paused) => this.tellPause(paused));

  constructor(private readonly parts: WalkingParts) {}

  get walk(): Walk | null {
    return this.walks.current;
  }

  get isPaused(): boolean {
    return this.pause.isOn;
  }

  /** A walk that is kept was asked for, and is not open yet. */
  get opensKept(): boolean {
    return this.walk?.opened === false && this.walk.request.snapshot !== undefined;
  }

  /** Ask for another prompt. It counts as in force when the server says so. False without a walk. */
  askFor(prompt: string): boolean {
    if (this.walk === null) return false;
    if (!this.parts.send({ type: "prompt", text: prompt })) this.walks.remember(prompt);
    this.parts.prompts.ask(prompt);
    return true;
  }

  promptChanged({ text: prompt = "", chunk: firstChunk, taken_as: takenAs }: StateChange): void {
    // A message that arrives before `init` belongs to the previous walk.
    if (!this.walk?.opened) return;
    this.record.promptChanged(prompt, firstChunk);
    this.parts.prompts.confirm(prompt, takenAs ?? null);
    this.walks.remember(prompt);
    const words = promptInWords(this.parts.prompts, this.pause.isOn);
    if (this.parts.playback.stage.isCovered) this.parts.notice.add(words);
    else this.parts.notice.say(words);
  }

  /** Ask the server for another walk. */
  begin(walk: Walk): void {
    this.walks.begin(walk);
    this.pause.forget();
    document.body.classList.add("walking");
    this.parts.notice.hush();
    this.parts.panel.close();
    this.open(walk);
    this.updatePause();
  }

  /** Go on with the walk of the page before this one, once the server says that it still has it. */
  reload(left: LeftWalk): void {
    this.walks.begin(reloadedWalk(left.request, left.video !== null));
    this.record.begin({}, false);
    document.body.classList.add("walking");
    this.parts.prompts.begin(left.request.prompt ?? "");
    if (left.video !== null) this.parts.playback.continueFrom(left.video);
    this.pause.reloaded();
  }

  /** What another page of this tab needs to go on with the walk; null without one. */
  leave(resume: Resume | null): LeftWalk | null {
    if (this.walk === null || resume === null) return null;
    const { image, size: _, ...request } = this.walk.request;
    const video = this.walk.opened ? this.parts.playback.openVideo : null;
    // One that is not open yet waits for its turn; it can be asked for again if nothing came in this session.
    const isWaiting = !this.walk.opened && image === undefined && resume.fragment === undefined;
    if (video === null && !isWaiting) return null;
    return { resume: fromKeyFrame(resume, this.parts.playback.newestKeyFrame), request, video };
  }

  private open(walk: Walk): void {
    walk.opened = false;
    walk.view = null;
    this.parts.prompts.begin(walk.request.prompt ?? "");
    this.parts.playback.stage.cover(walk.poster);
    this.parts.send({ type: "start", ...walk.request });
    this.pause.opened();
    if (this.parts.controls.pressed.length > 0) this.parts.controls.tellAgain();
  }

  /** The server has opened the walk: its video follows. */
  opened(mime: string, data: Uint8Array<ArrayBuffer>, welcome: Welcome): void {
    if (this.walk === null) return;
    this.walks.opened(this.walk);
    this.parts.connectionNotice.over();
    this.parts.notice.end("queue");
    const isKnown = this.walk.request.snapshot === undefined;
    if (!this.walk.isResumed) this.record.begin(beginningOf(this.walk, welcome), isKnown);
    this.walk.isResumed = false;
    this.parts.playback.open(mime, data);
    this.tellBeginning(this.walk, welcome);
  }

  private tellBeginning(walk: Walk, { worlds, times_real_time: timesRealTime }: Welcome): void {
    const views = worlds.flatMap((world) => world.views);
    const words = beginningInWords(walk.isAgain, views.find((view) => view.name === walk.view)?.title);
    if (words !== null) this.parts.notice.say(words);
    const pace = paceInWords(timesRealTime);
    if (pace !== "")
      this.parts.notice.add(`This server makes the video at ${pace}, so it plays in slow motion.`);
    walk.isAgain = false;
  }

  /** The server answered a request with an error; before the walk is open, it refuses the start. */
  refused(): void {
    this.parts.prompts.refuse();
    if (this.walk === null || this.walk.opened) return;
    this.parts.connectionNotice.over();
    this.walks.refused();
    document.body.classList.toggle("walking", this.walk !== null);
    if (this.walk?.opened !== false) this.parts.notice.end("queue");
    if (this.walk === null) this.parts.playback.stage.cover(this.parts.panel.poster);
    else this.goOn(this.walk);
    this.parts.openPanel(true);
  }

  /** The walk before the one that was refused. */
  private goOn(walk: Walk): void {
    if (walk.opened) this.parts.playback.stage.uncover();
    else this.parts.playback.stage.cover(walk.poster);
    this.parts.prompts.begin(walk.request.prompt ?? "");
  }

  /** There is something to go back in, to keep and to share. */
  get hasChunks(): boolean {
    return this.walk?.opened === true && this.record.numChunks > 0;
  }

  /** Go back a few steps. */
  undo(): void {
    if (!this.hasChunks) return;
    const chunk = Math.max(0, this.record.numChunks - UNDONE_CHUNKS);
    if (this.ask({ type: "rewind", chunk })) this.parts.notice.say("Back a few steps.");
  }

  reset(): void {
    if (this.walk !== null) this.ask({ type: "reset" });
  }

  private ask(message: ClientMessage): boolean {
    const isSent = this.parts.send(message);
    if (!isSent) this.parts.notice.say(NO_CONNECTION);
    return isSent;
  }

  /** Keep a copy of the walk as it is. The server answers when it has one. False without anything to keep. */
  keep(key: string): boolean {
    if (!this.hasChunks) return false;
    return this.ask({ type: "bookmark", name: new Date().toLocaleString(), key });
  }

  /** The server went back to the beginning of a chunk. */
  rewound(chunk: number | undefined): void {
    this.parts.playback.interrupted();
    if (chunk !== undefined) this.record.numChunks = chunk;
    if (chunk === 0) this.record.restarted();
    else if (chunk !== undefined) this.record.rewound(chunk);
  }

  wentBack(): void {
    this.parts.playback.interrupted();
    this.record.numChunks = 0;
    this.record.restarted();
    this.parts.notice.say("Back where the walk began.");
  }

  /** The connection is back, either with the same session or with a new one that has no walk. */
  reconnected(resumed: boolean): void {
    if (this.walk === null || resumed) this.parts.connectionNotice.over();
    if (this.walk === null) return this.parts.playback.stage.cover(this.parts.panel.poster);
    if (resumed) return this.goOnAfterLoss(this.walk);
    if (this.walk.isReloaded && this.walk.opened) return this.end();
    this.walk.isReloaded = false;
    this.parts.playback.newSession();
    if (this.parts.prompts.asked !== null) this.walks.remember(this.parts.prompts.asked);
    this.walks.lost();
    this.open(this.walk);
    this.updatePause();
  }

  /** Let another walk begin instead of this one, which the server cannot take back for now. */
  setAside(resume: Resume | null, tab: TabMemory): void {
    const left = this.leave(resume);
    if (left !== null) tab.setAside(left);
    this.end();
    this.parts.notice.say(SET_ASIDE_IN_WORDS);
  }

  /** The server no longer has the walk of the page before this one, or cannot take it back for now. */
  private end(): void {
    this.pause.forget();
    this.pause.opened(); // this server was told nothing of the walk
    this.walks.current = null;
    this.parts.connectionNotice.over();
    document.body.classList.remove("walking");
    this.parts.playback.newSession();
    this.parts.prompts.begin("");
    this.parts.playback.stage.cover(this.parts.panel.poster);
    this.parts.openPanel();
  }

  private goOnAfterLoss(walk: Walk): void {
    walk.isResumed = walk.opened;
    // What was asked without a connection never reached the server; a page that is reloaded had asked before.
    if (!walk.opened && !walk.isReloaded) this.parts.send({ type: "start", ...walk.request });
    walk.isReloaded = false;
    this.pause.tellAgain();
    this.tellAgain();
    this.parts.playback.interrupted();
  }

  /** Repeat what the server may have missed when the connection was lost. */
  private tellAgain(): void {
    this.parts.controls.tellAgain();
    const { asked } = this.parts.prompts;
    if (asked !== null) this.parts.send({ type: "prompt", text: asked });
  }

  /** The server named the view that stands for the visitor's picture. */
  startsAt(view: string | null): void {
    if (this.walk !== null) this.walk.view = view;
  }

  chunkAnnounced(chunk: Chunk): void {
    this.record.chunk(chunk);
  }

  togglePause(): void {
    this.pause.toggle();
    this.updatePause();
  }

  updatePause(): void {
    this.pause.update(this.walk !== null, this.parts.panel.isOpen);
  }

  pauseConfirmed(what: "paused" | "resumed"): void {
    this.pause.confirmed(what === "paused");
  }

  private tellPause(paused: boolean): void {
    this.parts.playback.interrupted();
    this.parts.send({ type: paused ? "pause" : "resume" });
  }

  saveWalk(): void {
    if (this.walk?.opened !== true) return;
    if (this.record.isPartial) {
      if (!this.parts.savePath()) this.parts.notice.say(KEEP_INSTEAD);
    } else if (!this.record.isEmpty) {
      saveFile("walk.json", this.record.toJson());
      this.parts.notice.say(PATH_SAVED);
    }
  }
}
