/** A small live graph of the latest latencies, with their median as a line. */
import { median } from "./latency";

const NUM_BARS = 48;
const GAP_PX = 1;

export function drawLatencies(canvas: HTMLCanvasElement, latenciesMs: readonly number[]): void {
  const { clientWidth: width, clientHeight: height } = canvas;
  const context = canvas.getContext("2d");
  if (context === null || width === 0) return;
  const scale = window.devicePixelRatio;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  context.scale(scale, scale);
  const shown = latenciesMs.slice(-NUM_BARS);
  const top = Math.max(250, ...shown) * 1.1;
  const { color } = getComputedStyle(canvas);
  drawBars(context, shown, { width, height, top, color });
  drawLine(context, height - ((median(shown) ?? 0) / top) * height, width, color);
}

interface Area {
  width: number;
  height: number;
  top: number;
  color: string;
}

function drawBars(context: CanvasRenderingContext2D, values: readonly number[], area: Area): void {
  const pitch = area.width / NUM_BARS;
  context.fillStyle = area.color;
  values.forEach((value, index) => {
    const barHeight = Math.max(1, (value / area.top) * area.height);
    // The newest bar is at the right edge and is the brightest.
    const x = area.width - (values.length - index) * pitch;
    context.globalAlpha = 0.25 + 0.65 * ((index + 1) / values.length) ** 2;
    context.fillRect(x, area.height - barHeight, pitch - GAP_PX, barHeight);
  });
}

function drawLine(context: CanvasRenderingContext2D, y: number, width: number, color: string): void {
  context.globalAlpha = 0.7;
  context.strokeStyle = color;
  context.setLineDash([2, 3]);
  context.beginPath();
  context.moveTo(0, Math.round(y) + 0.5);
  context.lineTo(width, Math.round(y) + 0.5);
  context.stroke();
}
