/** The list of kept walks in the start panel: open, share, download and delete them, or bring one from a file. */
import type { KeptWalk, KeptWalks } from "../net/kept_walks";
import type { Welcome } from "../net/protocol";
import { saveBlob } from "../walk/walk_record";
import { copyText } from "./copy_text";
import { find, make } from "./elements";

interface KeptEvents {
  open(id: string): void;
  say(words: string): void;
}

export class KeptList {
  private readonly section = find("kept", HTMLElement);
  private readonly list = find("kept-list", HTMLElement);
  private readonly file = find("kept-file", HTMLInputElement);
  private isOffered = false;
  private chunkS = 0;

  constructor(
    private readonly walks: KeptWalks,
    private readonly events: KeptEvents,
  ) {
    this.file.addEventListener("change", () => this.take(this.file.files?.[0]));
  }

  /** Show the walks, if this server keeps any. */
  offer({ snapshots, chunk, fps }: Pick<Welcome, "snapshots" | "chunk" | "fps">): void {
    this.isOffered = snapshots === true;
    this.chunkS = (chunk.frames ?? 0) / fps;
    this.section.hidden = !this.isOffered;
    if (this.isOffered) void this.refresh();
  }

  async refresh(): Promise<void> {
    if (!this.isOffered) return;
    await this.attempt(async () => {
      const walks = await this.walks.list();
      this.list.replaceChildren(...walks.map((walk) => this.row(walk)));
    });
  }

  private row(walk: KeptWalk): HTMLElement {
    const seconds = Math.round(walk.chunks * this.chunkS);
    const open = this.button(`${walk.name || "A walk"} · ${seconds} s`, "open", () =>
      this.events.open(walk.id),
    );
    return make(
      "li",
      "",
      open,
      this.button("Copy link", "", () => this.copyLink(walk)),
      this.button("Download", "", () => this.download(walk)),
      this.button("Delete", "", () => this.remove(walk)),
    );
  }

  private button(words: string, kind: string, run: () => unknown): HTMLButtonElement {
    const button = make("button", kind, words);
    button.type = "button";
    button.addEventListener("click", run);
    return button;
  }

  private async copyLink({ id }: KeptWalk): Promise<void> {
    const link = this.walks.link(id);
    const isCopied = await copyText(link);
    this.events.say(isCopied ? "The link is copied. Whoever has it can walk on from there." : link);
  }

  private download({ id }: KeptWalk): Promise<void> {
    return this.attempt(async () => saveBlob("walk.safetensors", await this.walks.download(id)));
  }

  private remove({ id }: KeptWalk): Promise<void> {
    return this.attempt(async () => {
      await this.walks.remove(id);
      await this.refresh();
    });
  }

  private async take(file: File | undefined): Promise<void> {
    if (file === undefined) return;
    await this.attempt(async () => {
      await this.walks.upload(file, file.name.replace(/\.safetensors$/, "").slice(0, 200));
      await this.refresh();
    });
    this.file.value = "";
  }

  private async attempt(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.events.say(error instanceof Error ? error.message : String(error));
    }
  }
}
