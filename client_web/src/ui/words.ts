/** Errors and states in plain words. */
import type { Cause } from "../net/connection";
import type { ServerError } from "../net/protocol";
import type { PromptChoice } from "./prompt_choice";

const DISAGREE = "The page and the server do not understand each other. Reload the page.";

const BY_CODE: Readonly<Record<string, string>> = {
  text_frame: DISAGREE,
  malformed: DISAGREE,
  unknown_type: DISAGREE,
  bad_field: DISAGREE,
  bad_order: DISAGREE,
  too_large: "The message is too large for this server.",
  unauthorized: "This server asks for a token. Add #token=… to the address.",
  too_fast: "The page sent too many messages, and the server closed the connection.",
  slow_consumer: "The connection is too slow for the video.",
  bad_image: "The server could not use that picture.",
  bad_pose: "The server could not follow that path.",
  bad_request: "The server could not do that.",
  busy: "All places are taken at the moment.",
  out_of_memory: "The server ran out of memory.",
  internal: "Something went wrong on the server.",
  taken_over: "This walk goes on in another window.",
  not_found: "This link shows no walk, or no longer.",
  bye: "The server closed the connection.",
  restarting: "The server is being restarted.",
};

const KEPT = "Your walk is kept for a day, and goes on when the connection is back.";

/** Losses after which a server that keeps walks still has the walk. */
const BY_CODE_IF_KEPT: Readonly<Record<string, string>> = {
  busy: "The server cannot take you back at the moment. Your walk is kept for a day, and goes on when it can.",
  restarting: `${BY_CODE.restarting} Your walk goes on afterwards.`,
  too_fast: `${BY_CODE.too_fast} ${KEPT}`,
  slow_consumer: `${BY_CODE.slow_consumer} ${KEPT}`,
  out_of_memory: `${BY_CODE.out_of_memory} ${KEPT}`,
  internal: `${BY_CODE.internal} ${KEPT}`,
};

/** Errors caused by the visitor's input. The server's reason helps to correct it, so it is shown. */
const WITH_REASON = new Set(["bad_image", "bad_pose", "bad_request", "too_large"]);

export const SET_ASIDE_IN_WORDS =
  "Your earlier walk is kept for a day. To go on with it, reload this page before you start another walk.";

const UNOPENED =
  "That walk could not be opened. It may be kept no longer, or be of an earlier model, or the server is busy.";

/** What was wrong. `opensKept`: a walk that is kept was to be opened. */
export function errorInWords(
  { code, message }: Pick<ServerError, "code" | "message">,
  opensKept = false,
): string {
  if (opensKept && code === "bad_request") return UNOPENED;
  const words = BY_CODE[code] ?? "The server reported a problem.";
  return WITH_REASON.has(code) || BY_CODE[code] === undefined ? `${words} (${message})` : words;
}

/** Why the connection was lost, and what becomes of the walk if the server keeps one of this page. */
export function lossInWords(cause: Cause, isKept = false): string {
  if (cause === null) return "Cannot reach the server.";
  return (isKept ? BY_CODE_IF_KEPT[cause.code] : undefined) ?? errorInWords(cause);
}

/** What the visitor can do about a lost connection. `isStuck`: the server has refused the walk again and again. */
export function remedyInWords(
  cause: Cause,
  isStuck = false,
): "Reload" | "Walk here" | "New walk" | "Try now" {
  if (BY_CODE[cause?.code ?? ""] === DISAGREE) return "Reload";
  if (isStuck && cause?.code === "busy") return "New walk"; // the page tries again by itself
  return cause?.code === "taken_over" ? "Walk here" : "Try now";
}

/** Why there will be no picture. */
export function noVideoInWords(reason: "unsupported" | "broken"): string {
  return reason === "unsupported"
    ? "This browser cannot play the video (H.264). Another browser may."
    : "The video keeps failing. Trying again in a few seconds.";
}

/** What the visitor should know when a walk begins: that it begins again, or which view stands for their picture. */
export function beginningInWords(isAgain: boolean, standIn: string | undefined): string | null {
  if (isAgain) return "Connected again. The server no longer has your walk, so it begins again.";
  return standIn === undefined
    ? null
    : `Your picture looks most like “${standIn}”, so the walk starts there.`;
}

/** What the visitor is told about the prompt that is in force now. */
export function promptInWords(choice: PromptChoice, paused: boolean): string {
  const now = nowInWords(choice);
  return paused ? `${now} You will see it when the walk goes on.` : now;
}

function nowInWords(choice: PromptChoice): string {
  const { current, takenAs, suggestions } = choice;
  const suggested = choice.suggested(current);
  if (suggested !== undefined) return `Now: ${suggested.title}.`;
  if (takenAs === null) return `The world now follows: ${current || "no prompt"}`;
  const known = listInWords(suggestions.map(({ title }) => inSentence(title)));
  return `This world knows ${known}; taken as ${inSentence(takenAs)}.`;
}

const inSentence = (title: string): string => title.slice(0, 1).toLowerCase() + title.slice(1);

export function listInWords(items: readonly string[]): string {
  const last = items.at(-1) ?? "";
  return items.length < 2 ? last : `${items.slice(0, -1).join(", ")} and ${last}`;
}

/** How full the server is, for somebody who has not started yet; nothing while there is a place. */
export function placesInWords(places: { free: number; queued: number; eta: number }): string | null {
  if (places.free > 0) return null;
  const others = places.queued === 1 ? "1 visitor waits" : `${places.queued} visitors wait`;
  const before = places.queued === 0 ? "All places are taken" : `All places are taken, and ${others}`;
  return `${before}. You can start and wait, ${waitInWords(places.eta)}.`;
}

/** Keys were held for long without any other input, and others wait. */
export const ASKED_IN_WORDS = "Others wait. Press another key to keep your place.";
/** The server waits so long for it: ANSWER_S of engine/activity.py. */
export const ANSWER_MS = 20_000;

const YIELDED: Readonly<Record<string, string>> = {
  idle: "You did not move for a while",
  paused: "Your walk was paused",
  silent: "The server did not hear of this page",
};

/** Why the visitor's place went to somebody else. */
export function yieldedInWords(reason: string): string {
  const why = YIELDED[reason];
  return why === undefined
    ? "Others wait, so it is their turn. Your walk goes on when it is yours again."
    : `${why}, and others wait. Press a key to queue again; your walk is kept.`;
}

const RECORDING_ENDED: Readonly<Record<string, string>> = {
  limit: "The recording of this walk is as long as this server allows, and ends here",
  full: "This server has no room for more video, so the recording of this walk ends here",
};

/** Why the video of the walk has an end before the walk. */
export function recordingEndedInWords(reason: string): string {
  const why = RECORDING_ENDED[reason] ?? "The server can write no more video, so the recording ends here";
  return `${why}. The walk goes on; V saves the video up to now.`;
}

const UNSAVED: Readonly<Record<string, string>> = {
  full: "The server has no room",
  long: "Your walk is very long",
};

/** Why nothing more of the walk is saved. */
export function unsavedInWords(reason: string): string {
  return `${UNSAVED[reason] ?? "The server cannot write"}: from here on your walk is not saved.`;
}

/** What a walk has lost that the server had not saved; null if that is nothing. */
export function missingInWords(seconds: number): string | null {
  if (seconds <= 0) return null;
  return `Your walk goes on ${Math.max(1, Math.round(seconds))} s earlier: the rest was not saved.`;
}

/** The visitor has a place again. */
export function seatedInWords(paused: boolean): string {
  return paused ? "You have your place back. Your walk is still paused." : "You have your place back.";
}

function waitInWords(seconds: number): string {
  return seconds < 90
    ? `about ${Math.max(1, Math.round(seconds))} s`
    : `about ${Math.round(seconds / 60)} min`;
}

export function queueInWords(position: number, etaS: number | null): string {
  const wait = etaS === null ? "" : `, ${waitInWords(etaS)}`;
  return position === 1 ? `You are next${wait}.` : `Place ${position} in the queue${wait}.`;
}

export const NO_CONNECTION = "There is no connection at the moment.";
