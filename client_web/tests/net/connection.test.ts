import { encode as pack, decode as unpack } from "@msgpack/msgpack";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Connection, retryDelayMs, type Status } from "../../src/net/connection";
import type { Resume } from "../../src/net/protocol";
import type { SocketEvents } from "../../src/net/socket";

const WELCOME = {
  type: "welcome",
  protocol: 1,
  session: "s",
  secret: "k",
  resumed: false,
  limits: {},
  worlds: [],
  model: "m",
  fps: 24,
  size: [160, 96],
  sizes: [],
  chunk: {},
};
const MEDIA = { type: "media", chunk: 0, frame: 41, time: 0, duration: 0.04, key: true, decoded_at: 0 };
const CHUNK = {
  type: "chunk",
  index: 7,
  first_frame: 0,
  frames: 16,
  controls_seq: null,
  latched_at: 0,
  labels: [],
  motions: [],
  poses: [],
  timings: {},
};

interface FakeSocket {
  events: SocketEvents;
  sent: Record<string, unknown>[];
  isClosed: boolean;
}

let sockets: FakeSocket[];
let statuses: Status[];
let received: string[];

function connect(token = (): string | undefined => undefined, resume?: Resume, watch?: string): Connection {
  const connection = new Connection(
    {
      openSocket: (events) => {
        const socket: FakeSocket = { events, sent: [], isClosed: false };
        sockets.push(socket);
        return {
          send: (frame) => socket.sent.push(unpack(frame) as Record<string, unknown>),
          close: () => {
            socket.isClosed = true;
          },
        };
      },
      random: () => 1,
      now: () => Date.now(),
      token,
      resume,
      ...(watch === undefined ? {} : { watch }),
    },
    { status: (status) => statuses.push(status), message: (message) => received.push(message.type) },
  );
  connection.connect();
  return connection;
}

const newest = (): FakeSocket => sockets.at(-1) as FakeSocket;
const hear = (message: unknown): void => newest().events.received(pack(message).slice().buffer);
const kinds = (): string[] => statuses.map((status) => status.kind);

function welcomed(): Connection {
  const connection = connect();
  newest().events.opened();
  hear(WELCOME);
  return connection;
}

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  statuses = [];
  received = [];
});
afterEach(() => vi.useRealTimers());

it("says hello first, with the token", () => {
  connect(() => "open sesame");
  newest().events.opened();
  expect(newest().sent).toEqual([{ type: "hello", protocol: 1, token: "open sesame" }]);
});

it("is open after the welcome and pings at once", () => {
  welcomed();
  expect(kinds()).toEqual(["connecting", "open"]);
  expect(newest().sent.map((message) => message.type)).toEqual(["hello", "ping"]);
});

it("sends nothing before the welcome", () => {
  const connection = connect();
  newest().events.opened();
  expect(connection.send({ type: "pause" })).toBe(false);
  expect(newest().sent).toHaveLength(1);
});

it("comes back after a loss and asks for its session", () => {
  welcomed();
  hear({ ...MEDIA, decode: 1, encode: 1, data: new Uint8Array(1) });
  newest().events.closed(1006);
  expect(statuses.at(-1)).toEqual({ kind: "waiting", retryMs: 400, cause: null });
  vi.advanceTimersByTime(400);
  newest().events.opened();
  const resume = { session: "s", secret: "k", fragment: 41 };
  expect(newest().sent).toEqual([{ type: "hello", protocol: 1, resume }]);
});

it.each([
  [{ missing_chunks: 0 }, { session: "s", secret: "k", chunk: 7 }],
  [{}, { session: "s", secret: "k" }],
])("names its last chunk to a server that says what is missing: %j", (welcome, resume) => {
  connect();
  newest().events.opened();
  hear({ ...WELCOME, ...welcome });
  hear(CHUNK);
  lose(1);
  expect(newest().sent[0]).toEqual({ type: "hello", protocol: 1, resume });
});

it("asks for everything when it lost the connection before the first frame", () => {
  welcomed();
  lose(1);
  const resume = { session: "s", secret: "k" };
  expect(newest().sent[0]).toEqual({ type: "hello", protocol: 1, resume });
});

it("asks for the session of the page before it", () => {
  const resume = { session: "old", secret: "o", fragment: 7 };
  const connection = connect(undefined, resume);
  newest().events.opened();
  expect(newest().sent).toEqual([{ type: "hello", protocol: 1, resume }]);
  hear({ ...WELCOME, session: "old", secret: "o", resumed: true });
  expect(connection.session).toEqual(resume);
});

it("knows what another page needs to go on, unless that is no use", () => {
  const connection = welcomed();
  hear({ ...MEDIA, decode: 1, encode: 1, data: new Uint8Array(1) });
  expect(connection.session).toEqual({ session: "s", secret: "k", fragment: 41 });
  hear({ type: "error", code: "taken_over", message: "elsewhere", retryable: false, fatal: true });
  expect(connection.session).toBeNull();
});

it("lets a page that is reloaded as it was told go on with its walk", () => {
  const connection = welcomed();
  newest().events.received("hi"); // the server and this page do not understand each other
  expect(connection.session).toEqual({ session: "s", secret: "k" });
});

it("does not hand on a session that no server has accepted", () => {
  const connection = connect(undefined, { session: "old", secret: "o" });
  newest().events.opened();
  hear({ type: "error", code: "bad_field", message: "chunk", retryable: false, fatal: true });
  expect(connection.session).toBeNull();
});

it("comes back when the server said that it would be there again", () => {
  welcomed();
  hear({ type: "bye", reason: "the server is stopping", resume_in: 5 });
  newest().events.closed(1012);
  expect(statuses.at(-1)).toMatchObject({ kind: "waiting", retryMs: 5_400, cause: { code: "restarting" } });
  vi.advanceTimersByTime(5_400);
  newest().events.closed(1006);
  expect(statuses.at(-1)).toMatchObject({ kind: "waiting", retryMs: 800 });
});

it("waits longer after each failure, up to ten seconds", () => {
  expect([0, 1, 2, 3, 10].map((attempt) => retryDelayMs(attempt, 1))).toEqual([400, 800, 1600, 3200, 10_000]);
  expect(retryDelayMs(0, 0)).toBe(200);
});

/** Lose the connection so often, and come back each time. */
function lose(times: number): void {
  for (let loss = 0; loss < times; loss++) {
    newest().events.closed(1006);
    vi.advanceTimersToNextTimer();
    newest().events.opened();
    hear(WELCOME);
  }
}

it("restarts the waiting once there was video", () => {
  welcomed();
  lose(4);
  hear({ ...MEDIA, decode: 1, encode: 1, data: new Uint8Array(1) });
  newest().events.closed(1006);
  expect(statuses.at(-1)).toMatchObject({ kind: "waiting", retryMs: 400 });
});

it("restarts the waiting after a connection that lasted", () => {
  welcomed();
  lose(4);
  for (let second = 0; second < 31; second++) {
    vi.advanceTimersByTime(1_000);
    hear({ type: "pong", t: 0, server: 0 });
  }
  newest().events.closed(1006);
  expect(statuses.at(-1)).toMatchObject({ kind: "waiting", retryMs: 400 });
});

it("waits longer and longer for a server that welcomes and then refuses", () => {
  welcomed();
  const waits = [];
  for (let refusal = 0; refusal < 6; refusal++) {
    hear({ type: "error", code: "busy", message: "full", retryable: true, fatal: true });
    newest().events.closed(1013);
    waits.push(statuses.at(-1));
    vi.advanceTimersToNextTimer();
    newest().events.opened();
    hear(WELCOME);
  }
  const cause = { code: "busy" };
  expect(waits).toMatchObject([400, 800, 1_600, 3_200, 6_400, 10_000].map((retryMs) => ({ retryMs, cause })));
});

it.each([
  [1008, "slow_consumer"],
  [1011, "internal"],
])("reads the cause off close code %i when nothing was said", (closeCode, code) => {
  welcomed();
  newest().events.closed(closeCode);
  expect(statuses.at(-1)).toMatchObject({ kind: "waiting", cause: { code } });
});

it("believes the server's words before the close code", () => {
  welcomed();
  hear({ type: "error", code: "too_fast", message: "201", retryable: true, fatal: true });
  newest().events.closed(1008);
  expect(statuses.at(-1)).toMatchObject({ cause: { code: "too_fast" } });
});

it("says the token that the address holds now", () => {
  let token: string | undefined;
  const connection = connect(() => token);
  newest().events.opened();
  hear({ type: "error", code: "unauthorized", message: "token", retryable: false, fatal: true });
  newest().events.closed(1008);
  token = "sesame";
  connection.connect();
  newest().events.opened();
  expect(newest().sent).toEqual([{ type: "hello", protocol: 1, token: "sesame" }]);
});

it("gives up when the server says that trying again is no use", () => {
  welcomed();
  const error = { type: "error", code: "unauthorized", message: "token", retryable: false, fatal: true };
  hear(error);
  newest().events.closed(1006);
  expect(statuses.at(-1)).toMatchObject({ kind: "failed", cause: { code: "unauthorized" } });
  vi.advanceTimersByTime(60_000);
  expect(sockets).toHaveLength(1);
});

it("keeps trying when the server is busy", () => {
  connect();
  hear({ type: "error", code: "busy", message: "full", retryable: true, fatal: true });
  newest().events.closed(1006);
  expect(statuses.at(-1)).toMatchObject({ kind: "waiting", cause: { code: "busy" } });
});

it("drops a line that has gone silent", () => {
  welcomed();
  vi.advanceTimersByTime(9_000);
  expect(newest().isClosed).toBe(true);
  expect(kinds().at(-1)).toBe("waiting");
});

it("finds out soon whether the line works on another network", () => {
  const connection = welcomed();
  connection.networkChanged();
  vi.advanceTimersByTime(3_000);
  expect(kinds().at(-1)).toBe("waiting");
});

it("stays on another network where the line works", () => {
  const connection = welcomed();
  connection.networkChanged();
  hear({ type: "pong", t: 0, server: 0 });
  vi.advanceTimersByTime(5_000);
  expect(kinds().at(-1)).toBe("open");
});

it("lets a connection that is just being made go on", () => {
  const connection = connect();
  newest().events.opened();
  connection.networkChanged();
  vi.advanceTimersByTime(5_000);
  expect(newest().isClosed).toBe(false);
});

it("connects at once when there is a network again", () => {
  const connection = welcomed();
  newest().events.closed(1006);
  connection.networkChanged();
  expect(sockets.length).toBe(2);
});

it("stays as long as pongs come", () => {
  welcomed();
  for (let second = 0; second < 20; second++) {
    vi.advanceTimersByTime(1_000);
    hear({ type: "pong", t: 0, server: 0 });
  }
  expect(kinds()).toEqual(["connecting", "open"]);
});

it("stays in a hidden tab, whose clock ticks once a minute", () => {
  welcomed();
  for (let minute = 0; minute < 20; minute++) {
    vi.setSystemTime(Date.now() + 59_000);
    vi.advanceTimersByTime(1_000);
    hear({ type: "pong", t: 0, server: 0 });
  }
  expect(kinds()).toEqual(["connecting", "open"]);
});

it("gives up on a server that does not speak the protocol", () => {
  welcomed();
  newest().events.received("hi");
  expect(newest().isClosed).toBe(true);
  expect(statuses.at(-1)).toMatchObject({ kind: "failed", cause: { code: "malformed" } });
});

it("passes messages on and skips unknown ones", () => {
  welcomed();
  hear({ type: "weather" });
  hear({ type: "bye", reason: "stopped" });
  expect(received).toEqual(["welcome", "bye"]);
});

it("does not listen to a socket it has left", () => {
  const connection = welcomed();
  const old = newest();
  old.events.closed(1006);
  connection.connect();
  old.events.closed(1006);
  expect(kinds()).toEqual(["connecting", "open", "waiting", "connecting"]);
});

it("says which walk it watches, and resumes nothing", () => {
  const connection = connect(undefined, undefined, "abc");
  for (const _ of [1, 2]) {
    newest().events.opened();
    expect(newest().sent).toEqual([{ type: "hello", protocol: 1, watch: "abc" }]);
    hear(WELCOME);
    newest().events.closed(1006);
    connection.connect();
  }
});

it("stays away when it is told to", () => {
  const connection = welcomed();
  newest().events.closed(1006);
  connection.stop();
  vi.advanceTimersByTime(60_000);
  expect(sockets).toHaveLength(1);
});

it("comes as a new visitor if the server cannot take the session back", () => {
  const connection = connect(undefined, { session: "s", secret: "k" });
  newest().events.opened();
  hear(WELCOME);
  hear({ type: "error", code: "busy", message: "later", fatal: true, retryable: true, retry_after: null });
  newest().events.closed(1013);
  connection.connectAnew();
  newest().events.opened();
  expect(newest().sent).toEqual([{ type: "hello", protocol: 1 }]);
  vi.advanceTimersByTime(0);
  expect(sockets).toHaveLength(2);
});

it("comes as a new visitor also while it asks for the session", () => {
  const connection = connect(undefined, { session: "s", secret: "k" });
  const [first] = sockets;
  connection.connectAnew();
  first?.events.closed(1000);
  newest().events.opened();
  expect(first?.isClosed).toBe(true);
  expect(newest().sent).toEqual([{ type: "hello", protocol: 1 }]);
});
