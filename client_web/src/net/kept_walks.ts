/** The walks that this browser's visitor keeps on the server, over HTTP. */

export interface KeptWalk {
  id: string;
  name: string;
  chunks: number;
}

/** Where the page remembers things between visits. */
export type Memory = Pick<Storage, "getItem" | "setItem">;
type Fetch = (url: string, init: RequestInit) => Promise<Response>;

const KEY = "worldplay.walk-key";
const KEY_BYTES = 24;

/** This browser's memory; where it is forbidden, one that lasts as long as the page. */
export function browserMemory(): Memory {
  try {
    return localStorage;
  } catch {
    const items = new Map<string, string>();
    return {
      getItem: (name) => items.get(name) ?? null,
      setItem: (name, value) => void items.set(name, value),
    };
  }
}

export class KeptWalks {
  constructor(
    private readonly page: string,
    private readonly token: () => string | undefined,
    private readonly memory: Memory,
    private readonly fetch: Fetch,
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
    return new URL(`w/${id}`, this.page).href;
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
  private async ask(path: string, init: RequestInit): Promise<Response> {
    const token = this.token();
    const headers = {
      ...init.headers,
      "X-Walk-Key": this.key,
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    };
    const url = new URL(`api/snapshots/${path}`, this.page).href;
    const answer = await this.fetch(url, { ...init, headers });
    if (answer.ok) return answer;
    const { error } = (await answer.json()) as { error: { message: string } };
    throw new Error(error.message);
  }
}
