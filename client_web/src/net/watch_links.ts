/** Links to watch a walk. The token is in the address's fragment, which browsers do not send. */

/** The token of the walk that the address is a link to; null if it is none. */
export function watchInAddress(hash: string): string | null {
  return new URLSearchParams(hash.slice(1)).get("watch");
}

/** The address's fragment without the link, and with what else it holds. */
export function withoutWatch(hash: string): string {
  const parts = new URLSearchParams(hash.slice(1));
  parts.delete("watch");
  return parts.size === 0 ? "" : `#${parts}`;
}

/** A link to watch a walk, for whoever has it. It does not hold the server's own token. */
export function watchLink(page: string, token: string): string {
  const url = new URL(page);
  url.search = "";
  url.hash = new URLSearchParams({ watch: token }).toString();
  return url.href;
}
