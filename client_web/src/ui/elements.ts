/** Finding and making elements, with their types checked. */

export function find<T extends HTMLElement>(id: string, kind: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`expected #${id} to be a ${kind.name} in index.html`);
  return element;
}

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

/** An address for image bytes from the server, which says "JPEG or PNG" without saying which. */
export function imageUrl(bytes: Uint8Array<ArrayBuffer>): string {
  return URL.createObjectURL(new Blob([bytes]));
}

/** `checkVisibility` for browsers that have none: Safari before 17.4. */
export function isOnScreen(element: HTMLElement): boolean {
  return element.getClientRects().length > 0 && getComputedStyle(element).visibility === "visible";
}

/** Buttons that were clicked give the keyboard back: Space and Enter are then not for them. */
export function dropFocusOnClick(area: HTMLElement): void {
  const drop = ({ detail, target }: MouseEvent): void => {
    const byPointer = detail > 0;
    if (byPointer && target instanceof Element) target.closest("button")?.blur();
  };
  // Before the button's own listener, which may look for the focus.
  area.addEventListener("click", drop, { capture: true });
}
