import { beforeEach, expect, it } from "vitest";
import type { ClientMessage, Welcome } from "../../src/net/protocol";
import type { Offer } from "../../src/ui/share_box";
import { Sharing } from "../../src/walk/sharing";

const welcome = (watchers: number, snapshots = true, rights = ["watch", "recording"]) =>
  ({ watchers, snapshots, rights }) as Welcome;

let sent: ClientMessage[];
let shown: string[];
let said: string[];
let counts: number[];
let opened: Offer[];
let isVideoShared: boolean;
let isSharing: boolean;
let canKeep: boolean;
let isConnected: boolean;
let hasChunks: boolean;
let sharing: Sharing;

beforeEach(() => {
  [sent, shown, said, counts, opened] = [[], [], [], [], []];
  isSharing = false;
  isVideoShared = false;
  canKeep = isConnected = hasChunks = true;
  sharing = new Sharing({
    hasChunks: () => hasChunks,
    box: {
      open: (offer) => opened.push(offer),
      show: async (link) => void shown.push(link),
      showSharing: (is) => {
        isSharing = is;
      },
      showVideoShared: (is) => {
        isVideoShared = is;
      },
      hideLink: () => shown.push("hidden"),
      showCount: (count) => counts.push(count),
      say: (words) => said.push(words),
    },
    send: (message) => isConnected && sent.push(message) > 0,
    keep: () => canKeep,
    watchLink: (token) => `#watch=${token}`,
    videoLink: (token) => `video?share=${token}`,
    walkLink: (id) => `w/${id}`,
    say: (words) => said.push(words),
  });
  sharing.welcomed(welcome(50), true);
});

it("offers what the server does", () => {
  sharing.open();
  sharing.welcomed(welcome(0), true);
  sharing.open();
  expect(opened).toEqual([
    { watch: true, video: true, walkOn: true },
    { watch: false, video: true, walkOn: true },
  ]);
  sharing.welcomed(welcome(0, false, []), true);
  expect(sharing.open()).toBe(false);
});

it("asks for a link, and shows it when it comes", () => {
  sharing.watch();
  expect(sent).toEqual([{ type: "share" }]);
  sharing.shared("abc", undefined);
  expect([shown, isSharing]).toEqual([["#watch=abc"], true]);
});

it("ends the link", () => {
  sharing.watch();
  sharing.shared("abc", undefined);
  sharing.stop();
  sharing.shared(undefined, undefined);
  expect([sent.at(-1), isSharing]).toEqual([{ type: "unshare" }, false]);
  sharing.welcomed(welcome(50), true);
  expect(sent).toHaveLength(2);
});

it("asks for the same link after a loss, without showing it again", () => {
  sharing.watch();
  sharing.shared("abc", undefined);
  sharing.welcomed(welcome(50), true);
  sharing.shared("abc", undefined);
  expect(sent.at(-1)).toEqual({ type: "share", token: "abc" });
  expect([shown, said]).toEqual([["#watch=abc"], []]);
});

it("asks again for a link that was not answered before a loss", () => {
  sharing.watch();
  sharing.welcomed(welcome(50), true);
  sharing.shared("abc", undefined);
  expect(sent).toEqual([{ type: "share" }, { type: "share" }]);
  expect(shown).toEqual(["#watch=abc"]);
});

it("says that it cannot stop without a connection", () => {
  sharing.watch();
  sharing.shared("abc", undefined);
  isConnected = false;
  sharing.stop();
  expect(said).toEqual(["There is no connection at the moment."]);
});

it("asks for no link to the video before the walk is open, when a refusal would be that of the start", () => {
  hasChunks = false;
  sharing.video();
  expect(sent).toEqual([]);
  expect(said).toEqual(["Walk a few steps first."]);
});

it("says in the box what was refused", () => {
  sharing.video();
  sharing.refused("This walk is not recorded.");
  expect(said).toEqual(["This walk is not recorded."]);
});

it("says that the link has changed", () => {
  sharing.watch();
  sharing.shared("abc", undefined);
  sharing.welcomed(welcome(50), true);
  sharing.shared("another", undefined);
  expect(said.at(-1)).toContain("share it again");
});

it("asks for nothing before there is a walk again", () => {
  sharing.watch();
  sharing.shared("abc", undefined);
  sharing.welcomed(welcome(50), false);
  expect(sent).toHaveLength(1);
});

it("shows a link to walk on when the walk is kept", () => {
  expect(sharing.kept("x")).toBe(false);
  sharing.walkOn();
  expect(sharing.kept("x")).toBe(true);
  expect(shown).toEqual(["w/x"]);
  expect(sharing.kept("y")).toBe(false);
});

it("says why there is no link to walk on", () => {
  hasChunks = false;
  sharing.walkOn();
  hasChunks = true;
  canKeep = false; // without a connection
  sharing.walkOn();
  expect(said).toEqual(["Walk a few steps first.", "There is no connection at the moment."]);
});

it("asks again for the links to the video and to walk on", () => {
  sharing.video();
  sharing.walkOn();
  sharing.welcomed(welcome(50), true);
  expect(sent).toEqual([
    { type: "share", right: "recording" },
    { type: "share", right: "recording" },
  ]);
  expect(sharing.kept("x")).toBe(true);
});

it("can be stopped by a page that was reloaded", () => {
  sharing.open();
  expect(isSharing).toBe(false);
  sharing.watchersChanged(1);
  sharing.open();
  expect(isSharing).toBe(true);
});

it("shows how many watch, and forgets it with the connection", () => {
  sharing.watchersChanged(2);
  sharing.welcomed(welcome(50), true);
  expect(counts).toEqual([0, 2, 0]);
});

it("asks for a link to the video, and ends it", () => {
  sharing.video();
  sharing.shared("abc", "recording");
  expect([shown, isVideoShared, isSharing]).toEqual([["video?share=abc"], true, false]);
  sharing.stopVideo();
  sharing.shared(undefined, "recording");
  expect(sent).toEqual([
    { type: "share", right: "recording" },
    { type: "unshare", right: "recording" },
  ]);
  expect([shown.at(-1), isVideoShared]).toEqual(["hidden", false]);
});

it("forgets the link to the video of an earlier walk", () => {
  sharing.video();
  sharing.shared("abc", "recording");
  sharing.begun();
  expect(isVideoShared).toBe(false);
});

it("offers no video where the server does not say so", () => {
  sharing.welcomed({ watchers: 1 } as Welcome, true);
  sharing.open();
  expect(opened).toEqual([{ watch: true, video: false, walkOn: false }]);
});
