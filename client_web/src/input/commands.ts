/** What the keys do that do not steer, in a walk and in the start panel: pure functions. */

export type Action =
  | "openPanel"
  | "closePanel"
  | "start"
  | "reset"
  | "togglePause"
  | "toggleBare"
  | "saveWalk"
  | "saveVideo"
  | "keepWalk"
  | "undo"
  | "share"
  | "typePrompt"
  | "toggleFullScreen";

type Bindings = Readonly<Record<string, Action>>;

const ALWAYS: Bindings = { KeyF: "toggleFullScreen" };
const IN_WALK: Bindings = {
  Escape: "openPanel",
  KeyR: "reset",
  KeyP: "togglePause",
  KeyH: "toggleBare",
  KeyJ: "saveWalk",
  KeyV: "saveVideo",
  KeyB: "keepWalk",
  KeyU: "undo",
  KeyL: "share",
  KeyT: "typePrompt",
};
const IN_PANEL: Bindings = { KeyW: "start", Enter: "start" };
/** There is a walk behind the panel. */
const IN_PANEL_OF_WALK: Bindings = {
  Enter: "start",
  Escape: "closePanel",
  KeyW: "closePanel",
  KeyJ: "saveWalk",
  KeyV: "saveVideo",
  KeyB: "keepWalk",
  KeyL: "share",
  KeyH: "toggleBare",
};

interface Circumstances {
  isPanelOpen: boolean;
  isWalking: boolean;
  /** A button or field has the focus, and Enter is for it. */
  hasFocus: boolean;
}

/** What a command's code does now; null for nothing. */
export function actionOf(code: string, { isPanelOpen, isWalking, hasFocus }: Circumstances): Action | null {
  if (code === "Enter" && hasFocus) return null;
  const inPanel = isWalking ? IN_PANEL_OF_WALK : IN_PANEL;
  return { ...ALWAYS, ...(isPanelOpen ? inPanel : IN_WALK) }[code] ?? null;
}
