/** The walks that this browser's visitor keeps on the server, over HTTP. */
import type { Api } from "./api";

export interface KeptWalk {
  id: string;
  name: string;
  chunks: number;
}

/** Where the page remembers things between visits. */
export type Memory = Pick<Storage, "getItem" | "setItem">;

const KEY = "worldplay.walk-key";
const KEY_BYTES = 24;

/** It throws where storage is forbidden, and where it is full. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}

/** This browser's memory; where it is forbidden, one that lasts as long as the page. */
export function browserMemory(): Memory {
  const items = new Map<string, string>();
  return {
    getItem: (name) => items.get(name) ?? attempt(() => localStorage.getItem(name)) ?? null,
    setItem: (name, value) => {
      items.set(name, value);
      attempt(() => localStorage.setItem(name, value));
    },
  };
}

export class KeptWalks {
  constructor(
    private readonly api: Api,
    private readonly memory: Memory,
  ) {}

  /** The secret that the walks of this browser are kept under. It is made at its first use. */
  get key(): string {
    const known = this.memory.getItem(KEY);
    if (known !== null) return known;
    const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
    const key = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    this.memory.setItem(KEY, key);
    return key;
  }

  /** A link that opens a walk, for whoever has it. */
  link(id: string): string {
    return this.api.url(`w/${id}`).href;
  }

  async list(): Promise<KeptWalk[]> {
    const { snapshots } = (await (await this.ask("", {})).json()) as { snapshots: KeptWalk[] };
    return snapshots;
  }

  async download(id: string): Promise<Blob> {
    return (await this.ask(id, {})).blob();
  }

  async upload(file: Blob, name: string): Promise<void> {
    const headers = { "Content-Type": "application/octet-stream" };
    await this.ask(`?${new URLSearchParams({ name })}`, { method: "POST", body: file, headers });
  }

  async remove(id: string): Promise<void> {
    await this.ask(id, { method: "DELETE" });
  }

  /** Throws an Error with the server's words. */
  private ask(path: string, init: RequestInit): Promise<Response> {
    const headers = { ...init.headers, "X-Walk-Key": this.key };
    return this.api.ask(`api/snapshots/${path}`, { ...init, headers });
  }
}
