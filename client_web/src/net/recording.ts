/** The recording of this session, over HTTP. The secret goes in a header, so it is in no address or log. */
import type { Welcome } from "./protocol";

type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export class Recording {
  constructor(
    private readonly page: string,
    private readonly token: () => string | undefined,
    private readonly fetch: Fetch,
  ) {}

  /** The video of the walk so far. Throws an Error with the server's words. */
  async download({ session, secret }: Pick<Welcome, "session" | "secret">): Promise<Blob> {
    const token = this.token();
    const headers = {
      "X-Session-Secret": secret,
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    };
    const url = new URL(`api/sessions/${session}/recording.mp4`, this.page).href;
    const answer = await this.fetch(url, { headers });
    if (answer.ok) return answer.blob();
    const { error } = (await answer.json()) as { error: { message: string } };
    throw new Error(error.message);
  }
}
