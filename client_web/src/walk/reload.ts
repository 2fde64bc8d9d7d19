/** What a tab needs to go on with its walk after it was reloaded, kept in the tab's own memory. */
import type { Resume, StartRequest } from "../net/protocol";
import { firstProblem, integer, isMap, map, number, optional, string } from "../net/schema";
import type { OpenVideo } from "../video/player";

export interface LeftWalk {
  /** The session, with the last frame that came. */
  resume: Resume;
  /** What the walk began with, but for a picture, which may be too large. */
  request: Omit<StartRequest, "image" | "size">;
  /** Null before the first frame. */
  video: OpenVideo | null;
}

/** A part of the browser's Storage. */
type TabStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;

const KEY = "worldplay.left-walk";
const SET_ASIDE_KEY = "worldplay.set-aside-walk";
const FIELDS = {
  resume: map({ session: string, secret: string, fragment: optional(integer), chunk: optional(integer) }),
  request: map({
    view: optional(string),
    prompt: optional(string),
    seed: optional(integer),
    snapshot: optional(string),
  }),
};
const VIDEO_FIELDS = { mime: string, init: string, receivedS: number };

/**
 * The session as another page asks for it, which can decode nothing before a key frame: from the newest one on that
 * came.
 */
export function fromKeyFrame(resume: Resume, keyFrame: number | null): Resume {
  const { fragment, ...session } = resume;
  if (fragment === undefined || keyFrame === null || keyFrame > fragment) return resume;
  return keyFrame === 0 ? session : { ...session, fragment: keyFrame - 1 };
}

/** The tab's own memory; null where it is forbidden. */
export function tabStorage(): TabStorage | null {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

/**
 * A walk is in the memory only while no page of the tab is open. A tab that is duplicated copies the memory, so the
 * copy finds nothing, and cannot take the walk from the first tab.
 */
export class TabMemory {
  constructor(private readonly storage: TabStorage | null) {}

  /** The page is left. */
  leave(walk: LeftWalk): void {
    this.write(KEY, walk);
  }

  /** The server cannot take the walk back for now, and the visitor begins another one. */
  setAside(walk: LeftWalk): void {
    this.write(SET_ASIDE_KEY, walk);
  }

  private write(key: string, walk: LeftWalk): void {
    const { resume, request, video } = walk;
    const init = video === null ? {} : { init: btoa(String.fromCharCode(...video.init)) };
    try {
      this.storage?.setItem(key, JSON.stringify({ resume, request, ...video, ...init }));
    } catch {
      // The memory is full. The walk does not go on after a reload.
    }
  }

  /** The page is open: the walk that was left, which is forgotten. */
  take(): LeftWalk | null {
    return this.takeFrom(KEY);
  }

  /** The walk that was set aside, which is forgotten. For a page that is opened and has no other walk. */
  takeSetAside(): LeftWalk | null {
    return this.takeFrom(SET_ASIDE_KEY);
  }

  private takeFrom(key: string): LeftWalk | null {
    const text = this.storage?.getItem(key) ?? null;
    this.storage?.removeItem(key);
    return text === null ? null : read(text);
  }
}

function read(text: string): LeftWalk | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!isMap(value) || firstProblem(value, FIELDS) !== null) return null;
    const { resume, request } = value as unknown as LeftWalk;
    if (!Object.keys(VIDEO_FIELDS).some((name) => name in value)) return { resume, request, video: null };
    const video = readVideo(value);
    return video === null ? null : { resume, request, video };
  } catch {
    return null; // not what `leave` wrote
  }
}

function readVideo(value: Record<string, unknown>): OpenVideo | null {
  if (firstProblem(value, VIDEO_FIELDS) !== null) return null;
  const { mime, init, receivedS } = value as unknown as Omit<OpenVideo, "init"> & { init: string };
  return { mime, init: Uint8Array.from(atob(init), (letter) => letter.charCodeAt(0)), receivedS };
}
