/** The numbers over the picture: latency and its parts, frames, where a chunk's time goes. */

import { find } from "../ui/elements";
import { drawLatencies } from "./graph";
import { median } from "./latency";
import { type LatencySplit, PARTS, totalMs, wholeMs } from "./latency_split";
import { type ChunkCost, STAGES } from "./measurements";

interface HudNumbers {
  framesPerSecond: number;
  bufferedS: number;
  numStalls: number;
  seq: number;
}

/** What the server reads the controls for, in words. */
const LATCHES: Readonly<Record<string, string>> = { latent: "per latent", chunk: "per chunk" };

const inWords = (ms: number): string => `${Math.round(ms)} ms`;

export class Hud {
  private readonly graph = find("latency-graph", HTMLCanvasElement);
  private readonly bar = find("cost-bar", HTMLElement);

  constructor() {
    // Where it lies across the picture, styles/hud.css lets it be tapped.
    const hud = find("hud", HTMLElement);
    hud.addEventListener("click", () => hud.classList.toggle("folded"));
  }

  /** `split`: of the press with the median latency; null until the server's clock is known. */
  showLatencies(latenciesMs: readonly number[], split: LatencySplit | null): void {
    const last = latenciesMs.at(-1);
    const medianMs = split === null ? median(latenciesMs) : totalMs(split);
    this.write("latency-now", last === undefined ? "–" : String(Math.round(last)));
    this.write("latency-median", medianMs === undefined ? "–" : inWords(medianMs));
    drawLatencies(this.graph, latenciesMs);
    const whole = split === null ? null : wholeMs(split);
    for (const part of PARTS) this.write(`part-${part}`, whole === null ? "–" : String(whole[part]));
  }

  showLatch(latch: string | undefined): void {
    this.write("latch", latch === undefined ? "" : (LATCHES[latch] ?? latch));
  }

  showPace(words: string): void {
    this.write("pace", words);
  }

  showNumbers(numbers: HudNumbers): void {
    this.write("fps", numbers.framesPerSecond.toFixed(1));
    this.write("buffered", inWords(numbers.bufferedS * 1_000));
    this.write("stalls", String(numbers.numStalls));
    this.write("seq", String(numbers.seq));
  }

  /** The bar's full width is the time the chunk plays for: a bar that fits keeps up. */
  showCost(cost: ChunkCost, playsMs: number): void {
    this.write("chunk-index", cost.index === null ? "–" : String(cost.index));
    this.write("chunk-total", cost.index === null ? "–" : inWords(cost.totalMs));
    for (const stage of STAGES) {
      this.write(`cost-${stage}`, cost.index === null ? "–" : String(Math.round(cost.of(stage))));
      this.bar.style.setProperty(`--${stage}`, `${Math.min(100, (cost.of(stage) / playsMs) * 100)}%`);
    }
    this.bar.classList.toggle("late", cost.totalMs > playsMs);
  }

  private write(id: string, text: string): void {
    const element = find(id, HTMLElement);
    if (element.textContent !== text) element.textContent = text;
  }
}
