import { expect, it, vi } from "vitest";
import { Api } from "../../src/net/api";
import { browserMemory, KeptWalks, type Memory } from "../../src/net/kept_walks";

interface Asked {
  url: string;
  init: RequestInit;
}

function memory(): Memory {
  const items = new Map<string, string>();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
  };
}

function walks(answer: Response, asked: Asked[] = [], token?: string): KeptWalks {
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    asked.push({ url, init });
    return answer;
  };
  return new KeptWalks(new Api("https://example.org/walk/#token=x", () => token, fetch), memory());
}

it("makes a key once, and remembers it", () => {
  const kept = walks(new Response());
  expect(kept.key).toMatch(/^[0-9a-f]{48}$/);
  expect(kept.key).toBe(kept.key);
});

it.each(["forbidden", "full"])("remembers for as long as the page lasts where storage is %s", (how) => {
  const refuse = (): never => {
    throw new DOMException(how, "SecurityError");
  };
  const full = { getItem: () => null, setItem: refuse };
  vi.stubGlobal("localStorage", full);
  if (how === "forbidden")
    Object.defineProperty(globalThis, "localStorage", { get: refuse, configurable: true });
  const memory = browserMemory();
  expect(memory.getItem("key")).toBeNull();
  memory.setItem("key", "value");
  expect(memory.getItem("key")).toBe("value");
  vi.unstubAllGlobals();
});

it("asks beside the page, with the key and the token", async () => {
  const asked: Asked[] = [];
  const kept = walks(Response.json({ snapshots: [{ id: "a", name: "", chunks: 3 }] }), asked, "sesame");
  expect(await kept.list()).toEqual([{ id: "a", name: "", chunks: 3 }]);
  expect(asked[0]?.url).toBe("https://example.org/walk/api/snapshots/");
  expect(asked[0]?.init.headers).toEqual({ "X-Walk-Key": kept.key, Authorization: "Bearer sesame" });
});

it("sends a file under its name", async () => {
  const asked: Asked[] = [];
  const file = new Blob(["walk"]);
  await walks(Response.json({}, { status: 201 }), asked).upload(file, "the well");
  expect(asked[0]?.url).toBe("https://example.org/walk/api/snapshots/?name=the+well");
  expect(asked[0]?.init).toMatchObject({ method: "POST", body: file });
});

it("says what the server says", async () => {
  const error = { error: { code: "not_found", message: "expected a walk that is kept here" } };
  const kept = walks(Response.json(error, { status: 404 }));
  await expect(kept.remove("a")).rejects.toThrow("expected a walk that is kept here");
});

it("links to a walk beside the page", () => {
  expect(walks(new Response()).link("abc")).toBe("https://example.org/walk/w/abc");
});
