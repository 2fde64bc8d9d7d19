import { beforeEach, expect, it } from "vitest";
import type { ClientMessage, Welcome } from "../../src/net/protocol";
import { Sharing } from "../../src/walk/sharing";

const welcome = (watchers: number, snapshots = true) => ({ watchers, snapshots }) as Welcome;

let sent: ClientMessage[];
let shown: string[];
let said: string[];
let counts: number[];
let opened: [boolean, boolean][];
let isSharing: boolean;
let canKeep: boolean;
let sharing: Sharing;

beforeEach(() => {
  [sent, shown, said, counts, opened] = [[], [], [], [], []];
  isSharing = false;
  canKeep = true;
  sharing = new Sharing({
    box: {
      open: (...can) => opened.push(can),
      show: async (link) => void shown.push(link),
      showSharing: (is) => {
        isSharing = is;
      },
      showCount: (count) => counts.push(count),
      say: (words) => said.push(words),
    },
    send: (message) => sent.push(message) > 0,
    keep: () => canKeep,
    watchLink: (token) => `#watch=${token}`,
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
    [true, true],
    [false, true],
  ]);
  sharing.welcomed(welcome(0, false), true);
  expect(sharing.open()).toBe(false);
});

it("asks for a link, and shows it when it comes", () => {
  sharing.watch();
  expect(sent).toEqual([{ type: "share" }]);
  sharing.shared("abc");
  expect([shown, isSharing]).toEqual([["#watch=abc"], true]);
});

it("ends the link", () => {
  sharing.watch();
  sharing.shared("abc");
  sharing.stop();
  sharing.shared(undefined);
  expect([sent.at(-1), isSharing]).toEqual([{ type: "unshare" }, false]);
  sharing.welcomed(welcome(50), true);
  expect(sent).toHaveLength(2);
});

it("asks for the same link after a loss, without showing it again", () => {
  sharing.watch();
  sharing.shared("abc");
  sharing.welcomed(welcome(50), true);
  sharing.shared("abc");
  expect(sent.at(-1)).toEqual({ type: "share", token: "abc" });
  expect([shown, said]).toEqual([["#watch=abc"], []]);
});

it("says that the link has changed", () => {
  sharing.watch();
  sharing.shared("abc");
  sharing.welcomed(welcome(50), true);
  sharing.shared("another");
  expect(said.at(-1)).toContain("share it again");
});

it("asks for nothing before there is a walk again", () => {
  sharing.watch();
  sharing.shared("abc");
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

it("says that there is nothing to walk on from", () => {
  canKeep = false;
  sharing.walkOn();
  expect(said).toEqual(["Walk a few steps first."]);
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
