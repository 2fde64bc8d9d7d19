/** The start panel: the server's views or the visitor's picture, a prompt and a seed. */

import { isComposing } from "../input/keyboard";
import type { StartRequest, StartView, Welcome } from "../net/protocol";
import { find, imageUrl, make } from "./elements";
import type { Picture } from "./own_image";
import { OwnPictureCard } from "./own_picture_card";
import { PromptChips } from "./prompt_chips";
import type { PromptChoice } from "./prompt_choice";
import { listInWords, placesInWords } from "./words";

interface PanelEvents {
  /** `poster` is the address of the picture the walk starts from, if there is one; `picture` is the visitor's own. */
  start(request: StartRequest, poster: string | null, picture: Picture | null): void;
  /** False when it could not be sent. */
  prompt(text: string): boolean;
  back(): void;
  complaint(message: string): void;
}

type Choice =
  | { kind: "view"; name: string }
  | { kind: "image"; image: Uint8Array<ArrayBuffer>; picture: Picture };

const MAX_SEED = 2 ** 32 - 1;

export class StartPanel {
  private readonly panel = find("panel", HTMLElement);
  private readonly form = find("start-form", HTMLFormElement);
  private readonly views = find("views", HTMLElement);
  private readonly prompt = find("prompt", HTMLInputElement);
  private readonly seed = find("seed", HTMLInputElement);
  private readonly size = find("size", HTMLSelectElement);
  private readonly walk = find("walk", HTMLButtonElement);
  private readonly applyPrompt = find("apply-prompt", HTMLButtonElement);
  private readonly chips = new PromptChips(find("chips", HTMLElement), (prompt) => this.suggest(prompt));
  private readonly posters = new Map<string, string>();
  private readonly own = new OwnPictureCard({
    isOpen: () => this.isOpen,
    taken: ({ bytes: image, picture }) => {
      this.choose({ kind: "image", image, picture });
      this.walk.focus({ preventScroll: true });
    },
    complaint: (message) => this.events.complaint(message),
  });
  private choice: Choice | null = null;
  /** What had the focus when the panel opened. */
  private opener: Element | null = null;
  private knowsOwnPictures = true;
  /** Names of the views and prompts that are shown. */
  private offered = "";

  constructor(
    private readonly events: PanelEvents,
    private readonly prompts: PromptChoice,
  ) {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.start();
    });
    this.applyPrompt.addEventListener("click", () => this.apply());
    this.prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || isComposing(event) || !this.isWalking) return;
      event.preventDefault(); // it would start a new walk
      this.apply();
    });
    this.prompt.addEventListener("input", () => this.showPrompt());
    find("back", HTMLButtonElement).addEventListener("click", () => events.back());
  }

  get isOpen(): boolean {
    return !this.panel.hidden;
  }

  /** Address of the chosen picture, which the stage shows until the walk's first frame. */
  get poster(): string | null {
    if (this.choice?.kind === "image") return this.own.poster;
    return this.choice === null ? null : (this.posters.get(this.choice.name) ?? null);
  }

  /** `walking`: a walk is going on, whose prompt can be changed; it is shown, unless what is typed stays. */
  open(walking: boolean, keepsPrompt = false): void {
    if (!this.isOpen) this.opener = document.activeElement;
    this.panel.hidden = false;
    this.panel.scrollTop = 0;
    this.panel.classList.toggle("walking", walking);
    if (walking && !keepsPrompt) this.prompt.value = this.prompts.current;
    this.showPrompt();
    this.nameTheStart();
    this.walk.focus({ preventScroll: true });
  }

  focusPrompt(): void {
    this.prompt.focus();
    this.prompt.select();
  }

  /** Highlight the suggestion that is in the field, and mark the one that was asked for. */
  showPrompt(): void {
    this.chips.show(this.prompts, this.prompt.value.trim(), this.prompts.asked);
  }

  /** Take a prompt for the next walk, and send it to the present one. */
  suggest(prompt: string): void {
    this.prompt.value = prompt;
    this.showPrompt();
    if (this.isWalking) this.events.prompt(prompt);
  }

  close(): void {
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    this.panel.hidden = true;
    if (this.opener instanceof HTMLElement) this.opener.focus();
  }

  /** Show what this server has. */
  offer(welcome: Welcome): void {
    const limit = (name: string): number => welcome.limits[name] ?? 0;
    this.own.limits = { bytes: limit("image_bytes"), pixels: limit("image_pixels") };
    this.prompt.maxLength = limit("prompt_chars");
    const views = welcome.worlds.flatMap((world) => world.views);
    this.offerChoices(views);
    this.showPrompt();
    this.knowsOwnPictures = welcome.worlds[0]?.own_pictures !== "nearest_view";
    find("own-note", HTMLElement).hidden = this.knowsOwnPictures;
    if (this.choice?.kind !== "image") this.choose(this.viewAmong(views));
    this.offerSizes(welcome.sizes);
    this.nameSights(welcome.worlds[0]?.sights ?? []);
    this.tellPlaces(welcome);
    this.walk.disabled = welcome.can_walk === false;
    this.panel.classList.toggle("clips-only", this.walk.disabled);
    this.panel.classList.add("offered");
  }

  /** After a reconnect they mostly are the same: then the focus stays, and so does the poster of the walk. */
  private offerChoices(views: readonly StartView[]): void {
    const offered = JSON.stringify([views.map(({ name, title }) => [name, title]), this.prompts.suggestions]);
    if (offered === this.offered) return;
    this.offered = offered;
    for (const poster of this.posters.values()) URL.revokeObjectURL(poster);
    this.posters.clear();
    this.chips.offer(this.prompts);
    this.views.replaceChildren(...views.map((view) => this.card(view)), this.own.card);
  }

  private tellPlaces({ places, can_walk }: Welcome): void {
    const words = places === undefined || can_walk === false ? null : placesInWords(places);
    const line = find("places", HTMLElement);
    line.hidden = words === null;
    line.textContent = words;
  }

  private nameSights(sights: readonly string[]): void {
    const line = find("sights", HTMLElement);
    line.hidden = sights.length === 0;
    line.textContent = `Worth finding: ${listInWords(sights)}.`;
  }

  /** Start what is chosen. */
  start(): void {
    if (this.walk.disabled) return;
    const prompt = this.prompt.value.trim();
    const seed = this.seed.value.trim();
    const request: StartRequest = {};
    if (this.choice?.kind === "view") request.view = this.choice.name;
    if (this.choice?.kind === "image") request.image = this.choice.image;
    if (prompt !== "") request.prompt = prompt;
    if (seed !== "") request.seed = Math.min(MAX_SEED, Math.max(0, Math.floor(Number(seed))));
    if (!this.size.hidden) request.size = this.size.value.split("x").map(Number) as [number, number];
    const picture = this.choice?.kind === "image" ? this.choice.picture : null;
    this.events.start(request, this.poster, picture);
  }

  /** Send the prompt to the present walk, and go back to it. */
  private apply(): void {
    const prompt = this.prompt.value.trim();
    const told = this.prompts.asked ?? this.prompts.current;
    if (prompt === told || this.events.prompt(prompt)) this.events.back();
  }

  private get isWalking(): boolean {
    return this.panel.classList.contains("walking");
  }

  private card(view: StartView): HTMLElement {
    const picture = make("span", "picture");
    if (view.preview !== undefined) {
      const poster = imageUrl(view.preview);
      this.posters.set(view.name, poster);
      picture.style.backgroundImage = `url("${poster}")`;
    }
    const card = make("button", "view", picture, make("span", "title", view.title));
    card.type = "button";
    card.dataset.view = view.name;
    card.addEventListener("click", () => {
      this.choose({ kind: "view", name: view.name });
      this.start();
    });
    return card;
  }

  /** The view that is chosen already, or the first. */
  private viewAmong(views: readonly StartView[]): Choice | null {
    const { choice } = this;
    const kept = views.find((view) => choice?.kind === "view" && view.name === choice.name) ?? views[0];
    return kept === undefined ? null : { kind: "view", name: kept.name };
  }

  private choose(choice: Choice | null): void {
    this.choice = choice;
    const name = choice?.kind === "view" ? choice.name : null;
    for (const card of this.views.querySelectorAll<HTMLElement>("[data-view]")) {
      card.classList.toggle("chosen", card.dataset.view === name);
      card.ariaCurrent = String(card.dataset.view === name);
    }
    this.own.card.classList.toggle("chosen", choice?.kind === "image");
    this.nameTheStart();
  }

  private nameTheStart(): void {
    const usual = this.isWalking ? "Start a new walk" : "Start walking";
    const own = this.knowsOwnPictures ? "Walk into your picture" : "Start from your picture";
    const label = this.choice?.kind === "image" ? own : usual;
    find("walk-label", HTMLElement).textContent = label;
  }

  private offerSizes(sizes: number[][]): void {
    const chosen = this.size.value;
    const options = sizes.map((size) => make("option", "", size.join("x")));
    this.size.replaceChildren(...options);
    if (options.some((option) => option.value === chosen)) this.size.value = chosen;
    this.size.hidden = options.length < 2;
  }
}
