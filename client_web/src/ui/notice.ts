/** One line for the visitor. It shows a passing remark, or else the most urgent lasting state. */

const PASSING_MS = 4_000;

/** Lasting states, the most urgent first. Only the first one is shown. */
const STATES = ["connection", "video", "idle", "queue", "gesture"] as const;
type State = (typeof STATES)[number];

export interface NoticeAction {
  label: string;
  /** Absent while the action is under way. */
  run?(): void;
}

/** The element that shows the line. */
export interface NoticeLine {
  show(text: string, action?: NoticeAction): void;
  hide(): void;
}

export class Notice {
  private readonly states = new Map<State, { text: string; action?: NoticeAction }>();
  private remark: string | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly line: NoticeLine) {}

  /** Say something for a few seconds. */
  say(text: string): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.hush(), PASSING_MS);
    this.remark = text;
    this.refresh();
  }

  /** Add to the remark that is shown now. */
  add(text: string): void {
    this.say(this.remark === null ? text : `${this.remark} ${text}`);
  }

  /** Remove the passing remark early. */
  hush(): void {
    clearTimeout(this.timer);
    this.remark = null;
    this.refresh();
  }

  /** Show a state until `end`, with at most one action. */
  stay(state: State, text: string, action?: NoticeAction): void {
    this.states.set(state, action === undefined ? { text } : { text, action });
    this.refresh();
  }

  /** Show a state until `end`, but no longer than this. */
  stayFor(state: State, text: string, timeMs: number): void {
    this.stay(state, text);
    const asked = this.states.get(state);
    setTimeout(() => this.states.get(state) === asked && this.end(state), timeMs);
  }

  end(state: State): void {
    if (this.states.delete(state)) this.refresh();
  }

  private refresh(): void {
    if (this.remark !== null) return this.line.show(this.remark);
    const state = STATES.find((each) => this.states.has(each));
    const shown = state === undefined ? undefined : this.states.get(state);
    if (shown === undefined) this.line.hide();
    else this.line.show(shown.text, shown.action);
  }
}
