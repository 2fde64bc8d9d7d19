/** The labels of this keyboard's keys, where the browser knows them. */

type Layout = ReadonlyMap<string, string>;

declare global {
  interface Navigator {
    readonly keyboard?: { getLayoutMap(): Promise<Layout> };
  }
}

/** The label of the key at a place; null where the layout does not say. */
export function keyLabel(layout: Layout, code: string): string | null {
  const letter = layout.get(code) ?? "";
  return letter.length === 1 ? letter.toUpperCase() : null;
}

/** Write the key's label on each element with `data-code`. */
export async function labelKeys(root: ParentNode): Promise<void> {
  // Browsers refuse this in a frame of another page.
  const layout = await navigator.keyboard?.getLayoutMap().catch(() => undefined);
  if (layout === undefined) return;
  for (const element of root.querySelectorAll<HTMLElement>("[data-code]")) {
    element.textContent = keyLabel(layout, element.dataset.code ?? "") ?? element.textContent;
  }
}
