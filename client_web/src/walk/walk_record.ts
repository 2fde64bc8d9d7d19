/** The path of a walk, for `worldplay render --pose walk.json`. */

import type { Chunk } from "../net/protocol";
import type { Picture } from "../ui/own_image";

const KEPT_MS = 60_000;

/** What a cut threw away: the poses and labels that were planned from this latent to the end of its chunk. */
interface Cut {
  latent: number;
  poses: Chunk["poses"];
  labels: Chunk["labels"];
}

/** A prompt that replaces the one before it, from this latent on. */
interface PromptChange {
  latent: number;
  text: string;
}

/** What a walk began with, as the server reads it beside the path. Absent fields are left open. */
export interface Beginning {
  view?: string;
  prompt?: string;
  seed?: number;
  image?: Picture;
  size?: number[];
  model?: string;
}

export const PATH_SAVED = "Your path is in walk.json: worldplay render --pose walk.json makes a clip of it.";

export class WalkRecord {
  private beginning: Beginning = {};
  private knowsBeginning = true;
  private prompt: string | undefined;
  private poses: Chunk["poses"] = [];
  private labels: Chunk["labels"] = [];
  private cuts: Cut[] = [];
  private prompts: PromptChange[] = [];
  private numLatents = 0;
  private chunkLatents = 4;
  /** Of the walk, as far as the server told. */
  numChunks = 0;

  /** Another walk; the one before is forgotten. If the beginning is not known, the server knows the path alone. */
  begin(beginning: Beginning, isKnown = true): void {
    this.beginning = beginning;
    this.knowsBeginning = isKnown;
    this.prompt = beginning.prompt;
    this.poses = [];
    this.labels = [];
    this.cuts = [];
    this.prompts = [];
    this.numLatents = 0;
    this.numChunks = 0;
  }

  /**
   * After a reset the chunks are numbered from 0 again, and a cut chunk comes again: this one replaces what was
   * recorded from there on.
   */
  chunk(chunk: Chunk): void {
    this.chunkLatents = chunk.poses.length;
    const kept = chunk.index * chunk.poses.length;
    this.numLatents = kept + chunk.poses.length;
    this.numChunks = chunk.index + 1;
    const isCut = (chunk.revision ?? 0) > 0;
    if (!isCut && (chunk.first_latent ?? 0) > 0) return; // the end of a walk that goes on, as it was
    if (isCut) this.cut(kept + (chunk.first_latent ?? 0));
    else this.cuts = this.cuts.filter(({ latent }) => latent < kept);
    this.poses.splice(kept, Infinity, ...chunk.poses);
    this.labels.splice(kept, Infinity, ...chunk.labels);
  }

  promptChanged(prompt: string, firstChunk: number | undefined): void {
    this.prompt = prompt;
    if (firstChunk === 0) this.restarted();
    else if (firstChunk !== undefined) this.rewound(firstChunk);
  }

  /** The walk goes on from the beginning of a chunk, under the prompt it has now. */
  rewound(chunk: number): void {
    const latent = chunk * this.chunkLatents;
    this.prompts = this.prompts.filter((change) => change.latent < latent);
    const before = this.prompts.at(-1)?.text ?? this.beginning.prompt ?? "";
    const text = this.prompt ?? "";
    if (text !== before) this.prompts.push({ latent, text });
  }

  /** The walk begins again where it began, under the prompt it has now. */
  restarted(): void {
    const { prompt } = this;
    this.prompts = [];
    this.beginning = { ...this.beginning, ...(prompt === undefined ? {} : { prompt }) };
  }

  /**
   * The chunk is made anew from this latent on, but what was planned there had its part in the latents before. A client
   * that read too slowly may never have been told what was planned; without it almost the same is made.
   */
  private cut(latent: number): void {
    if (latent >= this.poses.length) return;
    this.cuts.push({ latent, poses: this.poses.slice(latent), labels: this.labels.slice(latent) });
  }

  get isEmpty(): boolean {
    return this.poses.length === 0;
  }

  /** The beginning is missing: the walk was opened from a kept one, or goes on after a reload. */
  get isPartial(): boolean {
    return !this.knowsBeginning || this.poses.length < this.numLatents;
  }

  toJson(): string {
    const { beginning, poses, labels, cuts } = this;
    const prompts = this.prompts.filter(({ latent }) => latent < poses.length);
    const changes = { ...(prompts.length > 0 && { prompts }), ...(cuts.length > 0 && { cuts }) };
    return JSON.stringify({ ...beginning, poses, labels, ...changes });
  }
}

/** Offer a text as a file to download. */
export function saveFile(name: string, text: string): void {
  saveBlob(name, new Blob([text], { type: "application/json" }));
}

/** Offer content as a file to download. */
export function saveBlob(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(content);
  link.click();
  // Some browsers begin to read it later.
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
}
