/** One line for the visitor: passing remarks, and under them the states that stay until they end. */

const PASSING_MS = 4_000;

/** What lasts, the most urgent first: of several only the first is shown. */
const STATES = ["connection", "video", "queue", "gesture"] as const;
type State = (typeof STATES)[number];

export interface NoticeAction {
  label: string;
  /** Absent while it is being done. */
  run?(): void;
}

/** What the line is written on. */
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

  /** Say something beside what is being said. */
  add(text: string): void {
    this.say(this.remark === null ? text : `${this.remark} ${text}`);
  }

  /** End a passing remark before its time. */
  hush(): void {
    clearTimeout(this.timer);
    this.remark = null;
    this.refresh();
  }

  /** Say something until its `end`, with one thing to do about it at most. */
  stay(state: State, text: string, action?: NoticeAction): void {
    this.states.set(state, action === undefined ? { text } : { text, action });
    this.refresh();
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
