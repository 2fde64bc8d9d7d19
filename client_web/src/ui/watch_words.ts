/** What is said about watching, in plain words. */
import type { Cause } from "../net/connection";
import type { Watchers } from "../net/protocol";
import { lossInWords } from "./words";

/** For the walker; empty while nobody watches. */
export function countInWords(count: number): string {
  return count === 0 ? "" : `${count} watching`;
}

/** For a watcher. */
export function othersInWords({ count }: Watchers): string {
  const others = count - 1;
  if (others < 1) return "Watching";
  return others === 1 ? "Watching, 1 other" : `Watching, ${others} others`;
}

const STANDING: Readonly<Record<string, string>> = {
  paused: "The walk is paused.",
  queued: "The walker waits for a place.",
  away: "The walker is away, and may come back.",
};

/** Why the picture stands still; null while it moves. */
export function walkerInWords({ walker }: Watchers): string | null {
  return STANDING[walker ?? ""] ?? null;
}

const OVER: Readonly<Record<string, string>> = {
  not_found: "This link shows no walk, or no longer.",
  unauthorized: "This server asks for a token. Add &token=… to the address.",
};

/** Why there is nothing to watch any more. A server that says goodbye says why. */
export function overInWords(cause: Cause): string {
  if (cause?.code === "bye") return `${cause.message.slice(0, 1).toUpperCase()}${cause.message.slice(1)}.`;
  return OVER[cause?.code ?? ""] ?? lossInWords(cause);
}

const NOT_NOW: Readonly<Record<string, string>> = {
  busy: "Many watch already.",
  not_found: "The walk is not back yet.",
};

/** Why there is nothing to watch for now. */
export function waitingInWords(cause: Cause): string {
  const why = NOT_NOW[cause?.code ?? ""] ?? lossInWords(cause);
  return `${why} Trying again in a moment.`;
}
