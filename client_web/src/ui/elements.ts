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

/** An address for image bytes from the server, which may be JPEG or PNG. */
export function imageUrl(bytes: Uint8Array<ArrayBuffer>): string {
  return URL.createObjectURL(new Blob([bytes]));
}

/** `checkVisibility` for browsers that have none: Safari before 17.4. */
export function isOnScreen(element: HTMLElement): boolean {
  return element.getClientRects().length > 0 && getComputedStyle(element).visibility === "visible";
}

/** Take the focus off buttons that were clicked, so that Space and Enter do not press them again. */
export function dropFocusOnClick(area: HTMLElement): void {
  const drop = ({ detail, target }: MouseEvent): void => {
    const byPointer = detail > 0;
    if (byPointer && target instanceof Element) target.closest("button")?.blur();
  };
  // This runs before the button's own listener, which may check the focus.
  area.addEventListener("click", drop, { capture: true });
}
