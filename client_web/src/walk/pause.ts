/** Whether the walk is paused: by the visitor, or because the open panel hides it. */
import { find } from "../ui/elements";

export class Pause {
  private readonly label = find("pause-label", HTMLElement);
  private readonly sign = find("paused-sign", HTMLElement);
  private byVisitor = false;
  private told = false;
  /** The server may know another state: it has not confirmed this one. */
  private mayDiffer = false;

  /** `tell` sends it to the server. */
  constructor(private readonly tell: (paused: boolean) => void) {}

  /** What the server was told last. */
  get isOn(): boolean {
    return this.told;
  }

  toggle(): void {
    this.byVisitor = !this.byVisitor;
  }

  /** The visitor chose another walk. */
  forget(): void {
    this.byVisitor = false;
  }

  /** A walk that was just opened is never paused. */
  opened(): void {
    this.told = false;
    this.mayDiffer = false;
  }

  /** The page before this one may have paused the walk. */
  reloaded(): void {
    this.mayDiffer = true;
  }

  /** The connection is back, and the walk goes on. */
  tellAgain(): void {
    if (this.told || this.mayDiffer) this.tell(this.told);
  }

  /** The server says so. */
  confirmed(paused: boolean): void {
    if (paused === this.told) this.mayDiffer = false;
  }

  /** A walk behind the open panel is paused, because nobody would see its frames. */
  update(isWalking: boolean, isPanelOpen: boolean): void {
    this.show();
    const paused = isWalking && (this.byVisitor || isPanelOpen);
    if (paused === this.told) return;
    this.told = paused;
    this.mayDiffer = true;
    this.tell(paused);
  }

  private show(): void {
    this.label.textContent = this.byVisitor ? "Resume" : "Pause";
    const words = this.byVisitor ? "Paused" : "";
    if (this.sign.textContent !== words) this.sign.textContent = words; // a screen reader says what is new
  }
}
