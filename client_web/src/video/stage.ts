/** The video, and the still picture in front of it until a walk's first frame. */
import { find } from "../ui/elements";

export class Stage {
  readonly element = find("stage", HTMLElement);
  readonly video = find("video", HTMLVideoElement);
  private readonly poster = find("poster", HTMLElement);
  private firstFrame: number | null = null;
  private covered = true;

  get isCovered(): boolean {
    return this.covered;
  }

  /** Cover the video until the first frame of what comes next. */
  cover(poster: string | null): void {
    this.poster.style.backgroundImage = poster === null ? "" : `url("${poster}")`;
    this.poster.classList.remove("gone");
    this.covered = true;
    this.firstFrame = null;
  }

  /** This frame may uncover the video, as the first one of the walk. */
  expect(frame: number): void {
    if (this.covered) this.firstFrame ??= frame;
  }

  /** True when this frame was the first of the walk. */
  shown(frame: number): boolean {
    if (!this.covered || this.firstFrame === null || frame < this.firstFrame) return false;
    this.uncover();
    return true;
  }

  uncover(): void {
    this.covered = false;
    this.poster.classList.add("gone");
  }

  /** The visitor walked into something. */
  bump(): void {
    if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.video.animate({ transform: ["none", "scale(1.006)", "none"] }, { duration: 160 });
  }
}
