/** The server's clock as seen from the page, from ping and pong. */

const NUM_SAMPLES = 8;

interface Sample {
  roundTripMs: number;
  offsetMs: number;
}

export class ServerClock {
  private samples: Sample[] = [];

  /** A pong came at `receivedMs` for a ping sent at `sentMs` (page clock); the server's clock read `serverMs`. */
  pong(sentMs: number, serverMs: number, receivedMs: number): void {
    const roundTripMs = receivedMs - sentMs;
    this.samples.push({ roundTripMs, offsetMs: serverMs - (sentMs + receivedMs) / 2 });
    if (this.samples.length > NUM_SAMPLES) this.samples.shift();
  }

  reset(): void {
    this.samples = [];
  }

  /** A server time on the page's clock, from the fastest recent round trip; null before the first pong. */
  toPage(serverMs: number): number | null {
    const best = this.best();
    return best === null ? null : serverMs - best.offsetMs;
  }

  get roundTripMs(): number | null {
    return this.best()?.roundTripMs ?? null;
  }

  private best(): Sample | null {
    return this.samples.reduce<Sample | null>(
      (best, sample) => (best === null || sample.roundTripMs < best.roundTripMs ? sample : best),
      null,
    );
  }
}
