/** Saves the video of the walk, or its path, as the server has recorded it. */
import type { Welcome } from "../net/protocol";
import type { Recording } from "../net/recording";
import { PATH_SAVED, saveBlob } from "../walk/walk_record";

export class RecordingSaver {
  private readonly buttons = document.querySelectorAll<HTMLElement>("[data-command=KeyV]");
  private welcome: Welcome | null = null;
  private isBusy = false;

  constructor(
    private readonly recording: Recording,
    private readonly say: (words: string) => void,
  ) {
    this.show(false);
  }

  /** A session began, which this server may record. */
  offer(welcome: Welcome): void {
    this.welcome = welcome;
    this.show(welcome.recording === true);
  }

  async saveVideo(): Promise<void> {
    const { welcome } = this;
    if (welcome?.recording !== true) return this.say("This server records no video.");
    this.say("Saving the video of this walk…");
    await this.save(
      "walk.mp4",
      () => this.recording.video(welcome),
      "The video of this walk is in walk.mp4.",
    );
  }

  /** Save where the walk went, which the page itself does not know. False if the server does not either. */
  savePath(): boolean {
    const { welcome } = this;
    if (welcome?.recording !== true) return false;
    void this.save("walk.json", () => this.recording.walk(welcome), PATH_SAVED);
    return true;
  }

  private async save(name: string, download: () => Promise<Blob>, words: string): Promise<void> {
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      saveBlob(name, await download());
      this.say(words);
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error));
    } finally {
      this.isBusy = false;
    }
  }

  private show(isOffered: boolean): void {
    for (const button of this.buttons) button.hidden = !isOffered;
  }
}
