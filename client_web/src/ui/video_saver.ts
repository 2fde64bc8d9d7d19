/** Saves the video of the walk as a file, on servers that record. */
import type { Welcome } from "../net/protocol";
import type { Recording } from "../net/recording";
import { saveBlob } from "../walk/walk_record";

export class VideoSaver {
  private readonly buttons = document.querySelectorAll<HTMLElement>("[data-command=KeyV]");
  private welcome: Welcome | null = null;
  private isBusy = false;

  constructor(
    private readonly recording: Recording,
    private readonly say: (words: string) => void,
  ) {
    this.show(false);
  }

  /** A session began, whose video this server may record. */
  offer(welcome: Welcome): void {
    this.welcome = welcome;
    this.show(welcome.recording === true);
  }

  async save(): Promise<void> {
    if (this.welcome?.recording !== true) return this.say("This server records no video.");
    if (this.isBusy) return;
    this.isBusy = true;
    this.say("Saving the video of this walk…");
    try {
      saveBlob("walk.mp4", await this.recording.download(this.welcome));
      this.say("The video of this walk is in walk.mp4.");
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
