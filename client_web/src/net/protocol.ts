/** Messages of wire protocol 1 and their MessagePack form; docs/protocol.md defines them. */
import { encode as pack, decode as unpack } from "@msgpack/msgpack";
import {
  bool,
  bytes,
  firstProblem,
  integer,
  isMap,
  list,
  type MapOf,
  map,
  number,
  numbersByName,
  optional,
  orNull,
  string,
} from "./schema";

export const PROTOCOL = 1;
export const SUBPROTOCOL = "worldplay.v1";

export const KEYS = ["w", "s", "a", "d", "up", "down", "left", "right"] as const;
export type Key = (typeof KEYS)[number];

export interface Look {
  yaw: number;
  pitch: number;
}

export interface Resume {
  session: string;
  secret: string;
  /** The last frame that arrived; absent if none did. */
  fragment?: number;
  /** The last chunk that was announced, for servers that say how many are missing. */
  chunk?: number;
}

export interface StartRequest {
  view?: string;
  image?: Uint8Array;
  prompt?: string;
  seed?: number;
  size?: [number, number];
  /** A walk that is kept on the server, instead of all others. */
  snapshot?: string;
}

export type ClientMessage =
  | { type: "hello"; protocol: number; token?: string; resume?: Resume; watch?: string }
  | ({ type: "start" } & StartRequest)
  | { type: "controls"; seq: number; t: number; keys: Key[]; look: Look }
  | { type: "prompt"; text: string }
  | { type: "playhead"; shown: number; buffered: number; stalled: number; hidden: boolean; wanted?: number }
  | { type: "pause" | "resume" | "reset" }
  | { type: "rewind"; chunk: number }
  | { type: "bookmark"; name: string; key: string }
  | { type: "share"; token?: string; right?: "recording" }
  | { type: "unshare"; right?: "recording" }
  | { type: "ping"; t: number };

const view = map({ name: string, title: string, preview: optional(bytes) });
const suggestion = map({ title: string, prompt: string });
const world = map({
  name: string,
  title: string,
  views: list(view),
  suggestions: optional(list(suggestion)),
  own_pictures: optional(string),
  sights: optional(list(string)),
});
const pose = {
  expected: "16 numbers, or 4 lists of 4",
  accepts: (value: unknown): value is number[] | number[][] =>
    list(number).accepts(value) || list(list(number)).accepts(value),
};

const SERVER_FIELDS = {
  welcome: {
    protocol: integer,
    session: string,
    secret: string,
    resumed: bool,
    limits: numbersByName,
    worlds: list(world),
    model: string,
    fps: number,
    size: list(integer),
    sizes: list(list(integer)),
    chunk: numbersByName,
    can_walk: optional(bool),
    latch: optional(string),
    times_real_time: optional(number),
    snapshots: optional(bool),
    recording: optional(bool),
    places: optional(map({ free: integer, queued: integer, eta: number })),
    wanted: optional(bool),
    watchers: optional(integer),
    rights: optional(list(string)),
    missing_chunks: optional(integer),
  },
  queued: { position: integer, eta: orNull(number) },
  init: { codec: string, mime: string, data: bytes },
  chunk: {
    index: integer,
    first_frame: integer,
    frames: integer,
    controls_seq: orNull(integer),
    latched_at: number,
    labels: list(integer),
    motions: list(numbersByName),
    poses: list(pose),
    timings: numbersByName,
    revision: optional(integer),
    first_latent: optional(integer),
    latents: optional(integer),
  },
  media: {
    chunk: integer,
    frame: integer,
    time: number,
    duration: number,
    key: bool,
    decoded_at: number,
    decode: number,
    encode: number,
    data: bytes,
  },
  state: {
    what: string,
    chunk: optional(integer),
    text: optional(string),
    taken_as: optional(string),
    view: optional(string),
  },
  error: { code: string, message: string, retryable: bool, fatal: bool },
  bye: { reason: string, resume_in: optional(number) },
  pong: { t: number, server: number },
  received: { seq: integer, at: number },
  bookmarked: { snapshot: string, name: string, chunk: integer },
  shared: { token: optional(string), right: optional(string) },
  watchers: { count: integer, walker: optional(string) },
};

type ServerFields = typeof SERVER_FIELDS;
type ServerType = keyof ServerFields;
export type ServerMessage = { [T in ServerType]: { type: T } & MapOf<ServerFields[T]> }[ServerType];
type Of<T extends ServerType> = Extract<ServerMessage, { type: T }>;
export type Welcome = Of<"welcome">;
export type Init = Of<"init">;
export type Bye = Of<"bye">;
export type Chunk = Of<"chunk">;
export type Media = Of<"media">;
export type ServerError = Of<"error">;
export type StateChange = Of<"state">;
export type Watchers = Of<"watchers">;
export type StartView = Welcome["worlds"][number]["views"][number];
export interface Suggestion {
  title: string;
  prompt: string;
}

/** The server sent something that protocol 1 does not allow. */
export class ProtocolError extends Error {}

export function encode(message: ClientMessage): Uint8Array<ArrayBuffer> {
  return pack(message, { ignoreUndefined: true });
}

/** Null for a type that this page does not know: a newer server may send more. */
export function decode(frame: ArrayBuffer | Uint8Array | string): ServerMessage | null {
  if (typeof frame === "string") throw new ProtocolError("expected a binary frame, got a text frame");
  const message = unpackMap(frame);
  const { type } = message;
  if (typeof type !== "string") throw new ProtocolError("expected a string type");
  if (!isServerType(type)) return null;
  const problem = firstProblem(message, SERVER_FIELDS[type]);
  if (problem !== null) throw new ProtocolError(`${type}.${problem}`);
  return message as ServerMessage;
}

function isServerType(type: string): type is ServerType {
  return Object.hasOwn(SERVER_FIELDS, type);
}

function unpackMap(frame: ArrayBuffer | Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = unpack(frame);
  } catch (error) {
    throw new ProtocolError(`expected MessagePack, got ${String(error)}`);
  }
  if (!isMap(value)) throw new ProtocolError("expected a map");
  return value;
}
