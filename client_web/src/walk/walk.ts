/** A walk as the page asked for it: what it begins with, and what became of it. */
import type { StartRequest, Welcome } from "../net/protocol";
import type { Picture } from "../ui/own_image";
import type { Beginning } from "./walk_record";

export interface Walk {
  request: StartRequest;
  poster: string | null;
  /** The visitor's own picture, if the walk begins with one. */
  picture: Picture | null;
  /** Its init segment has arrived, so the next media belongs to it. */
  opened: boolean;
  /** It was open when the connection was lost, and begins again. */
  isAgain: boolean;
  /** The server went on with it after the connection was lost; another init segment does not begin it anew. */
  isResumed: boolean;
  /** It goes on after the tab was reloaded, and the server has not said yet that it still has it. */
  isReloaded: boolean;
  /** Name of the start view that stands for the visitor's picture, where the world cannot walk into it. */
  view: string | null;
}

/** If no seed was given, the page draws one, so that it can make the same walk again. */
export function newWalk(request: StartRequest, poster: string | null, picture: Picture | null): Walk {
  const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
  return { ...UNOPENED, request: { seed, ...request }, poster, picture };
}

/** A walk that goes on where a kept one ended; that one decides everything else. */
export function keptWalk(snapshot: string): Walk {
  return { ...UNOPENED, request: { snapshot }, poster: null, picture: null };
}

/** The walk of the page before this one, in the same tab. */
export function reloadedWalk(request: StartRequest, opened: boolean): Walk {
  return { ...UNOPENED, request, poster: null, picture: null, opened, isReloaded: true };
}

const UNOPENED = { opened: false, isAgain: false, isResumed: false, isReloaded: false, view: null };

/** The beginning as the recorded walk names it. If a view stands for the visitor's picture, it names the view. */
export function beginningOf(walk: Walk, { model, size }: Pick<Welcome, "model" | "size">): Beginning {
  const { image: _, ...asked } = walk.request;
  const place = walk.view !== null ? { view: walk.view } : walk.picture && { image: walk.picture };
  return { model, size, ...asked, ...place };
}

/** The walk that goes on, and the one to go back to if the server refuses to start it. */
export class Walks {
  current: Walk | null = null;
  private before: Walk | null = null;

  begin(walk: Walk): void {
    if (this.current?.opened !== false) this.before = this.current; // one that is not open yet is given up
    this.current = walk;
  }

  opened(walk: Walk): void {
    walk.opened = true;
    this.before = null;
  }

  refused(): void {
    this.current = this.before;
  }

  /** The server has lost the session: the current walk begins again, and there is none before it. */
  lost(): void {
    this.before = null;
    if (this.current !== null) this.current.isAgain ||= this.current.opened;
  }

  /** If the server loses the walk, it begins again with this prompt. */
  remember(prompt: string): void {
    const { current } = this;
    if (current !== null && current.request.snapshot === undefined)
      current.request = { ...current.request, prompt };
  }
}
