/** Asks the server over HTTP. The token goes in a header, so it is in no address or log. */

type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export class Api {
  constructor(
    private readonly page: string,
    private readonly token: () => string | undefined,
    private readonly fetch: Fetch,
  ) {}

  /** The address of a path beside the page. */
  url(path: string): URL {
    return new URL(path, this.page);
  }

  /** Throws an Error with the server's words; with the status if the answer has none, as of a proxy. */
  async ask(path: string, init: RequestInit): Promise<Response> {
    const token = this.token();
    const headers = {
      ...init.headers,
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    };
    const answer = await this.fetch(this.url(path).href, { ...init, headers });
    if (answer.ok) return answer;
    throw new Error((await messageOf(answer)) ?? `HTTP ${answer.status}`);
  }
}

/** What the server says is wrong; null if the body is not the server's. */
async function messageOf(answer: Response): Promise<string | null> {
  try {
    const { error } = (await answer.json()) as { error: { message: unknown } };
    return typeof error.message === "string" ? error.message : null;
  } catch {
    return null;
  }
}
