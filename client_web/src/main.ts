/** Entry point: checks the browser, reads the token from the address, starts the page. */
import "./styles/page.css";
import "./styles/bar.css";
import "./styles/pad.css";
import "./styles/hud.css";
import "./styles/notice.css";
import "./styles/panel.css";
import "./styles/share.css";
import { App } from "./app";
import { readLink } from "./net/links";
import { publishDiagnostics } from "./stats/diagnostics";
import { Notice } from "./ui/notice";
import { PageLine } from "./ui/notice_line";
import { missingFeature } from "./video/player";
import { WatchPage } from "./watch/watch_page";

/** In the fragment, which is never sent and never logged: `#token=...`. */
function tokenInAddress(): string | undefined {
  return new URLSearchParams(location.hash.slice(1)).get("token") ?? undefined;
}

const missing = missingFeature();
const watch = readLink(location.hash, "watch");
// Another link was put into the address of this page.
window.addEventListener("hashchange", () => {
  if (readLink(location.hash, "watch") !== watch) location.reload();
});
if (missing === null && watch !== null) {
  new WatchPage(watch, tokenInAddress);
} else if (missing === null) {
  const app = new App(tokenInAddress);
  publishDiagnostics(() => app.snapshot());
} else {
  new Notice(new PageLine()).stay("video", `This page needs a newer browser: ${missing} is missing.`);
}
