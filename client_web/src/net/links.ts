/** Links to the page. What they open is in the address's fragment, which browsers do not send. */

/** Somebody else's walk, by its token; or a kept walk, by its id. */
type Linked = "watch" | "walk";

/** What a fragment links to; null if it is no such link. */
export function readLink(hash: string, linked: Linked): string | null {
  return new URLSearchParams(hash.slice(1)).get(linked);
}

/** The fragment without the link, and with what else it holds. */
export function withoutLink(hash: string, linked: Linked): string {
  const parts = new URLSearchParams(hash.slice(1));
  parts.delete(linked);
  return parts.size === 0 ? "" : `#${parts}`;
}

/** Read and remove the address's link to a kept walk, so that it opens once; null if it has none. */
export function takeWalkLink(): string | null {
  const { hash, pathname, search } = location;
  const id = readLink(hash, "walk");
  if (id !== null) history.replaceState(null, "", `${pathname}${search}${withoutLink(hash, "walk")}`);
  return id;
}

/** A link to watch a walk, for whoever has it. It does not hold the server's own token. */
export function watchLink(page: string, token: string): string {
  const url = new URL(page);
  url.search = "";
  url.hash = new URLSearchParams({ watch: token }).toString();
  return url.href;
}
