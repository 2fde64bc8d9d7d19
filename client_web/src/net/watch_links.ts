/** Links to watch a walk. The token is in the address's fragment, which browsers do not send. */

/** The token of the walk that the address is a link to; null if it is none. */
export function watchInAddress(hash: string): string | null {
  return new URLSearchParams(hash.slice(1)).get("watch");
}

/** A link to watch a walk, for whoever has it. It does not hold the server's own token. */
export function watchLink(page: string, token: string): string {
  const url = new URL(page);
  url.search = "";
  url.hash = new URLSearchParams({ watch: token }).toString();
  return url.href;
}
