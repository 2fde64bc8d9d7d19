/** The path of a walk, for `worldplay render --pose walk.json`. */

import type { Chunk } from "../net/protocol";
import type { Picture } from "../ui/own_image";

const KEPT_MS = 60_000;

/** What a walk began with, as the server reads it beside the path. Absent fields are left open. */
export interface Beginning {
  view?: string;
  prompt?: string;
  seed?: number;
  image?: Picture;
  size?: number[];
  model?: string;
}

export class WalkRecord {
  private beginning: Beginning = {};
  private prompt: string | undefined;
  private poses: Chunk["poses"] = [];
  private labels: Chunk["labels"] = [];

  /** Another walk; the one before is forgotten. */
  begin(beginning: Beginning): void {
    this.beginning = beginning;
    this.prompt = beginning.prompt;
    this.poses = [];
    this.labels = [];
  }

  /** After a reset the chunks are numbered from 0 again, so this chunk replaces what was recorded from there on. */
  chunk(chunk: Chunk): void {
    const kept = chunk.index * chunk.poses.length;
    this.poses.splice(kept, Infinity, ...chunk.poses);
    this.labels.splice(kept, Infinity, ...chunk.labels);
  }

  /** The file holds one prompt, that of the first chunk. */
  promptChanged(prompt: string, firstChunk: number | undefined): void {
    this.prompt = prompt;
    if (firstChunk === 0) this.restarted();
  }

  /** The walk begins again where it began, under the prompt it has now. */
  restarted(): void {
    const { prompt } = this;
    this.beginning = { ...this.beginning, ...(prompt === undefined ? {} : { prompt }) };
  }

  get isEmpty(): boolean {
    return this.poses.length === 0;
  }

  toJson(): string {
    return JSON.stringify({ ...this.beginning, poses: this.poses, labels: this.labels });
  }
}

/** Offer a text as a file to download. */
export function saveFile(name: string, text: string): void {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.click();
  // Some browsers begin to read it later.
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
}
