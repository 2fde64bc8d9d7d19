/** The page over the whole screen, where the browser lets it: iPhones do not. */

/** Buttons for it: pressed while it fills the screen, hidden where it cannot. */
export function bindFullScreen(buttons: Iterable<HTMLElement>): void {
  const all = [...buttons];
  for (const button of all) button.hidden = !document.fullscreenEnabled;
  document.addEventListener("fullscreenchange", () => {
    for (const button of all) button.ariaPressed = String(document.fullscreenElement !== null);
  });
}

export function toggleFullScreen(): void {
  if (!document.fullscreenEnabled) return;
  const isFull = document.fullscreenElement !== null;
  const done = isFull ? document.exitFullscreen() : document.documentElement.requestFullscreen();
  // Refused without a gesture, as for a key that came from a script.
  done.catch(() => undefined);
}
