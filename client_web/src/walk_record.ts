/** The path of a walk, for `worldplay render --pose walk.json`. */
import type { Chunk, StartRequest } from "./protocol";

const KEPT_MS = 60_000;

export class WalkRecord {
  private readonly poses: Chunk["poses"] = [];
  private readonly labels: Chunk["labels"] = [];

  /** What was recorded from this chunk on is replaced: the walk went back, or is another one. */
  chunk(chunk: Chunk): void {
    const kept = chunk.index * chunk.poses.length;
    this.poses.splice(kept, Infinity, ...chunk.poses);
    this.labels.splice(kept, Infinity, ...chunk.labels);
  }

  get isEmpty(): boolean {
    return this.poses.length === 0;
  }

  /** A recorded walk as the server reads it, beside what one may want to begin it again with. */
  toJson({ view, prompt, seed }: StartRequest): string {
    return JSON.stringify({ view, prompt, seed, poses: this.poses, labels: this.labels });
  }
}

/** Offer a text as a file. */
export function saveFile(name: string, text: string): void {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.click();
  // Not at once: some browsers begin to read it later.
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
}
