import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Status } from "../../src/net/connection";
import { Comeback } from "../../src/watch/comeback";

const NOT_FOUND = { code: "not_found", message: "" };
const lost: Status = { kind: "waiting", retryMs: 400, cause: null };
const notFound: Status = { kind: "failed", cause: NOT_FOUND };

let comeback: Comeback;

beforeEach(() => {
  vi.useFakeTimers();
  comeback = new Comeback(() => Date.now());
});
afterEach(() => vi.useRealTimers());

it("expects a walk back whose server is away", () => {
  comeback.watches();
  expect(comeback.ending(lost)).toBeNull();
  expect(comeback.ending(notFound)).toBeNull();
});

it("gives up a walk that does not come back", () => {
  comeback.watches();
  vi.advanceTimersByTime(60_000);
  expect(comeback.ending(notFound)).toBe(NOT_FOUND);
});

it("gives up at once a link that never showed anything", () => {
  expect(comeback.ending(notFound)).toBe(NOT_FOUND);
});

it("takes a goodbye for the end", () => {
  comeback.watches();
  comeback.said({ type: "bye", reason: "the walk has ended" });
  expect(comeback.ending(lost)).toEqual({ code: "bye", message: "the walk has ended" });
});

it("expects a server back that says when", () => {
  comeback.watches();
  comeback.said({ type: "bye", reason: "the server is stopping", resume_in: 5 });
  expect(comeback.ending(lost)).toBeNull();
});

it("does not try again without the server's token", () => {
  comeback.watches();
  const cause = { code: "unauthorized", message: "" };
  expect(comeback.ending({ kind: "failed", cause })).toBe(cause);
});

it("tries again in a moment, once", () => {
  const connect = vi.fn();
  comeback.later(connect);
  comeback.later(connect);
  vi.advanceTimersByTime(2_000);
  expect(connect).toHaveBeenCalledTimes(1);
});
