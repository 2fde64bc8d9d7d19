/** How fast the server makes the video, and at which speed the page plays it then. */

/** Encoding and the network take time, too. What is left over is played off. */
const SHARE = 0.95;
/** So slow that a frame stays for a third of a second. Slower, a picture would count as standing still. */
const SLOWEST = 0.125;

/** The speed at which the video lasts until more of it comes: slow motion if it is made slower than it plays. */
export function speedFor(timesRealTime: number | undefined): number {
  return isSlow(timesRealTime) ? Math.max(SLOWEST, SHARE * timesRealTime) : 1;
}

/** For the HUD; empty in real time, and where the server does not say. */
export function paceInWords(timesRealTime: number | undefined): string {
  return isSlow(timesRealTime) ? `${roundDown(timesRealTime)}x real time` : "";
}

function isSlow(timesRealTime: number | undefined): timesRealTime is number {
  return timesRealTime !== undefined && timesRealTime < 1;
}

/** Two digits, and never 1. */
function roundDown(timesRealTime: number): number {
  return Math.min(0.99, Number(timesRealTime.toPrecision(2)));
}
