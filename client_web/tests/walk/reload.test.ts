import { expect, it } from "vitest";
import { fromKeyFrame, type LeftWalk, TabMemory } from "../../src/walk/reload";

const WALK: LeftWalk = {
  resume: { session: "s", secret: "k", fragment: 41 },
  request: { seed: 3, prompt: "at night" },
  video: {
    mime: 'video/mp4; codecs="avc1.64000c"',
    init: new Uint8Array([0, 127, 128, 255]),
    receivedS: 1.75,
  },
};
/** As it is written, but for the damage that a test does. */
const WRITTEN = { ...WALK, video: undefined, ...WALK.video, init: "AA==" };

/** What `sessionStorage` does; `items` are what a duplicated tab would copy. */
function storage(items = new Map<string, string>()) {
  return {
    items,
    getItem: (name: string) => items.get(name) ?? null,
    setItem: (name: string, value: string) => void items.set(name, value),
    removeItem: (name: string) => void items.delete(name),
  };
}

it("goes on with the walk that was left", () => {
  const tab = storage();
  new TabMemory(tab).leave(WALK);
  expect(new TabMemory(tab).take()).toEqual(WALK);
});

it("goes on with a walk that was left before its first frame", () => {
  const tab = storage();
  const waiting = { ...WALK, resume: { session: "s", secret: "k" }, video: null };
  new TabMemory(tab).leave(waiting);
  expect(new TabMemory(tab).take()).toEqual(waiting);
});

it("has no walk in a tab that is duplicated while its page is open", () => {
  const tab = storage();
  new TabMemory(tab).leave(WALK);
  new TabMemory(tab).take();
  const duplicate = storage(new Map(tab.items));
  expect(new TabMemory(duplicate).take()).toBeNull();
});

it("has nothing in a new tab", () => {
  expect(new TabMemory(storage()).take()).toBeNull();
});

it("does without a memory", () => {
  const memory = new TabMemory(null);
  memory.leave(WALK);
  expect(memory.take()).toBeNull();
});

it("does with a memory that is full", () => {
  const full = {
    ...storage(),
    setItem: () => {
      throw new DOMException("full", "QuotaExceededError");
    },
  };
  expect(() => new TabMemory(full).leave(WALK)).not.toThrow();
});

it.each([
  "",
  "{",
  "[]",
  "{}",
  JSON.stringify({ ...WRITTEN, receivedS: "soon" }),
  JSON.stringify({ ...WRITTEN, init: 5 }),
  JSON.stringify({ ...WRITTEN, init: undefined }),
])("ignores %s", (text) => {
  const tab = storage(new Map([["worldplay.left-walk", text]]));
  expect(new TabMemory(tab).take()).toBeNull();
  expect(tab.items.size).toBe(0);
});

it("ignores a video that is not base64", () => {
  const text = JSON.stringify({ ...WRITTEN, init: "%" });
  expect(new TabMemory(storage(new Map([["worldplay.left-walk", text]]))).take()).toBeNull();
});

it.each([
  [41, 32, 31],
  [41, 41, 40],
  [41, 0, undefined],
  [41, null, 41],
  [3, 32, 3], // of an earlier session
  [undefined, 32, undefined],
])("asks for the frames from the newest key frame on: last %s, key %s", (last, key, asked) => {
  const session = { session: "s", secret: "k" };
  const resume = last === undefined ? session : { ...session, fragment: last };
  expect(fromKeyFrame(resume, key)).toEqual(asked === undefined ? session : { ...session, fragment: asked });
});

it("keeps a walk that was set aside until a page without another walk asks for it", () => {
  const tab = storage();
  new TabMemory(tab).setAside(WALK);
  expect(new TabMemory(tab).take()).toBeNull();
  expect(new TabMemory(tab).takeSetAside()).toEqual(WALK);
  expect(new TabMemory(tab).takeSetAside()).toBeNull();
});
