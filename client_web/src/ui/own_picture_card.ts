/** The card for a picture of the visitor's own, which is chosen, dropped or pasted. */
import { isTyping } from "../input/keyboard";
import { find } from "./elements";
import { type ImageLimits, type OwnImage, readPicture, UnusablePicture } from "./own_image";

interface CardEvents {
  /** The start panel is open, and takes pictures. */
  isOpen(): boolean;
  taken(image: OwnImage): void;
  complaint(message: string): void;
}

export class OwnPictureCard {
  readonly card = find("own", HTMLLabelElement);
  limits: ImageLimits = { bytes: 0, pixels: 0 };
  /** Address of the picture; null before there is one. */
  poster: string | null = null;
  private numTaken = 0;
  private readonly file = find("own-file", HTMLInputElement);

  constructor(private readonly events: CardEvents) {
    this.file.addEventListener("change", () => this.use(this.file.files?.[0]));
    document.addEventListener("paste", (event) => this.pasted(event));
    this.bindDrop();
  }

  private bindDrop(): void {
    document.addEventListener("dragover", (event) => {
      if (!carriesFiles(event.dataTransfer)) return;
      event.preventDefault();
      this.card.classList.add("dropping");
    });
    document.addEventListener("dragleave", () => this.card.classList.remove("dropping"));
    document.addEventListener("drop", (event) => {
      this.card.classList.remove("dropping");
      if (!carriesFiles(event.dataTransfer)) return;
      event.preventDefault();
      this.takeFrom(event.dataTransfer);
    });
  }

  private pasted({ target, clipboardData }: ClipboardEvent): void {
    // Office programs also put a picture of the text on the clipboard.
    const isText = isTyping(target) && clipboardData?.getData("text/plain") !== "";
    if (!isText) this.takeFrom(clipboardData);
  }

  private takeFrom(transfer: DataTransfer | null): void {
    const file = transfer?.files[0];
    if (file !== undefined && this.events.isOpen()) this.use(file);
  }

  private use(file: File | undefined): void {
    this.file.value = "";
    if (file === undefined) return;
    this.take(file).catch((error: unknown) => {
      if (!(error instanceof UnusablePicture)) throw error;
      this.events.complaint(error.message);
    });
  }

  private async take(file: File): Promise<void> {
    const number = ++this.numTaken;
    const image = await readPicture(file, this.limits);
    if (number !== this.numTaken) return; // another one was chosen meanwhile
    if (this.poster !== null) URL.revokeObjectURL(this.poster);
    this.poster = URL.createObjectURL(image.blob);
    find("own-picture", HTMLElement).style.backgroundImage = `url("${this.poster}")`;
    this.events.taken(image);
  }
}

/** Other drags are left to the browser: dragged text belongs to the field it is dropped on. */
function carriesFiles(transfer: DataTransfer | null): boolean {
  return transfer?.types.includes("Files") ?? false;
}
