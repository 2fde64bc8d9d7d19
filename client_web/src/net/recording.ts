/** The recording of this session, over HTTP. The secret goes in a header, so it is in no address or log. */
import type { Api } from "./api";
import type { Welcome } from "./protocol";

type Session = Pick<Welcome, "session" | "secret">;

export class Recording {
  constructor(private readonly api: Api) {}

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
    const url = this.api.url(pathOf(session, "recording.mp4"));
    url.searchParams.set("share", token);
    return url.href;
  }

  private async download({ session, secret }: Session, name: string): Promise<Blob> {
    const headers = { "X-Session-Secret": secret };
    return (await this.api.ask(pathOf(session, name), { headers })).blob();
  }
}

function pathOf(session: string, name: string): string {
  return `api/sessions/${session}/${name}`;
}
