/** The recording of this session, over HTTP. The secret goes in a header, so it is in no address or log. */
import type { Welcome } from "./protocol";

type Session = Pick<Welcome, "session" | "secret">;
type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export class Recording {
  constructor(
    private readonly page: string,
    private readonly token: () => string | undefined,
    private readonly fetch: Fetch,
  ) {}

  /** The video of the walk so far. Throws an Error with the server's words. */
  video(session: Session): Promise<Blob> {
    return this.download(session, "recording.mp4");
  }

  /** Where the walk went so far, as a recorded walk. Throws the same. */
  walk(session: Session): Promise<Blob> {
    return this.download(session, "walk.json");
  }

  /** A link to the video, for whoever has it. It does not hold the server's own token. */
  link({ session }: Pick<Welcome, "session">, token: string): string {
    const url = this.urlOf(session, "recording.mp4");
    url.searchParams.set("share", token);
    return url.href;
  }

  private async download({ session, secret }: Session, name: string): Promise<Blob> {
    const token = this.token();
    const headers = {
      "X-Session-Secret": secret,
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    };
    const answer = await this.fetch(this.urlOf(session, name).href, { headers });
    if (answer.ok) return answer.blob();
    const { error } = (await answer.json()) as { error: { message: string } };
    throw new Error(error.message);
  }

  private urlOf(session: string, name: string): URL {
    return new URL(`api/sessions/${session}/${name}`, this.page);
  }
}
