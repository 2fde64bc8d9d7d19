import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ConnectionNotice } from "../../src/ui/connection_notice";
import { Notice, type NoticeAction } from "../../src/ui/notice";

let shown: string | null;
let action: NoticeAction | undefined;
let notice: Notice;
let connection: ConnectionNotice;
let isKept: boolean;
let isAnew: boolean;

beforeEach(() => {
  vi.useFakeTimers();
  notice = new Notice({
    show: (text, offered) => {
      [shown, action] = [text, offered];
    },
    hide: () => {
      [shown, action] = [null, undefined];
    },
  });
  isKept = isAnew = false;
  connection = new ConnectionNotice(notice, {
    connect: () => undefined,
    reload: () => undefined,
    beginAnew: () => {
      isAnew = true;
    },
    isKept: () => isKept,
  });
  [shown, action] = [null, undefined];
});
afterEach(() => vi.useRealTimers());

const LOST = { kind: "waiting", retryMs: 400, cause: { code: "busy", message: "full" } } as const;
const BUSY = "All places are taken at the moment. Trying again in a moment.";

it("says a remark for a few seconds", () => {
  notice.say("Saved.");
  vi.advanceTimersByTime(3_999);
  expect(shown).toBe("Saved.");
  vi.advanceTimersByTime(1);
  expect(shown).toBeNull();
});

it("shows what lasts again when a remark is over", () => {
  notice.stay("queue", "Place 2");
  notice.say("Saved.");
  expect(shown).toBe("Saved.");
  notice.stay("queue", "Place 1");
  expect(shown).toBe("Saved.");
  notice.hush();
  expect(shown).toBe("Place 1");
  notice.end("queue");
  expect(shown).toBeNull();
});

it("shows the more urgent of two states, and its action", () => {
  const again = { label: "Try now", run: () => undefined };
  notice.stay("queue", "Place 2");
  notice.stay("connection", "Lost.", again);
  notice.stay("queue", "Place 1");
  expect([shown, action]).toEqual(["Lost.", again]);
  notice.end("connection");
  expect([shown, action]).toEqual(["Place 1", undefined]);
});

it("shows a question for as long as the answer counts, and no longer", () => {
  notice.stay("queue", "Place 2");
  notice.stayFor("idle", "Still there?", 20_000);
  expect(shown).toBe("Still there?");
  vi.advanceTimersByTime(20_000);
  expect(shown).toBe("Place 2");
});

it("shows a question that is asked again for its whole time", () => {
  notice.stayFor("idle", "Are you there?", 20_000);
  vi.advanceTimersByTime(5_000);
  notice.end("idle");
  vi.advanceTimersByTime(10_000);
  notice.stayFor("idle", "Are you there?", 20_000);
  vi.advanceTimersByTime(19_999);
  expect(shown).toBe("Are you there?");
  vi.advanceTimersByTime(1);
  expect(shown).toBeNull();
});

it("keeps saying why the connection was lost until the server does what was asked", () => {
  connection.changed({ kind: "connecting" });
  expect(shown).toBe("Connecting…");
  connection.changed(LOST);
  expect([shown, action?.label]).toEqual([BUSY, "Try now"]);
  connection.changed({ kind: "connecting" });
  expect([shown, action]).toEqual([BUSY, { label: "Try now" }]);
  connection.changed({ kind: "open" });
  expect(shown).toBe(BUSY);
  connection.over();
  expect(shown).toBeNull();
});

it("lets the loss of the connection end a remark", () => {
  notice.say("Saved.");
  connection.changed(LOST);
  expect(shown).toBe(BUSY);
});

it("adds a remark to the one being made", () => {
  notice.add("One.");
  expect(shown).toBe("One.");
  notice.add("Two.");
  expect(shown).toBe("One. Two.");
});

it("tells a visitor who comes back to a full server that the walk is kept, and offers to try", () => {
  isKept = true;
  connection.changed(LOST);
  expect(shown).toContain("Your walk is kept for a day");
  expect([shown?.endsWith("Trying again in a moment."), action?.label]).toEqual([true, "Try now"]);
});

it("offers a new walk to a visitor whom the server refuses again and again", () => {
  isKept = true;
  for (let time = 0; time < 3; time++) connection.changed(LOST);
  expect(action?.label).toBe("New walk");
  action?.run?.();
  expect(isAnew).toBe(true);
  connection.over();
  connection.changed(LOST);
  expect(action?.label).toBe("Try now");
});

it.each([
  ["malformed", "Reload"],
  ["taken_over", "Walk here"],
  ["unauthorized", "Try now"],
])("offers after %s what helps", (code, label) => {
  connection.changed({ kind: "failed", cause: { code, message: "" } });
  expect(action?.label).toBe(label);
});
