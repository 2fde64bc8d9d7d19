import { beforeEach, expect, it } from "vitest";
import { PromptField, type TextField } from "../../src/ui/prompt_field";

class Field extends EventTarget implements TextField {
  value = "";
  ownerDocument: { activeElement: unknown } = { activeElement: null };
  type(text: string): void {
    this.dispatchEvent(new Event("focus"));
    this.value = text;
  }
  blur(): void {
    this.dispatchEvent(new Event("blur"));
  }
}

let form: EventTarget;
let input: Field;
let field: PromptField;
let asked: string[];
let isConnected: boolean;

beforeEach(() => {
  form = new EventTarget();
  input = new Field();
  asked = [];
  isConnected = true;
  field = new PromptField(form, input, (prompt) => {
    asked.push(prompt);
    if (isConnected) field.show(prompt);
    return isConnected;
  });
  field.show("two suns");
});

const submit = (): boolean => form.dispatchEvent(new Event("submit", { cancelable: true }));

function press(key: string, extra: object = {}): Event {
  const event = new Event("keydown");
  input.dispatchEvent(Object.assign(event, { key }, extra));
  return event;
}

it("sends what was typed and leaves the field", () => {
  input.type(" in the fog ");
  submit();
  expect(asked).toEqual(["in the fog"]);
  expect(input.value).toBe("in the fog");
});

it("does not send what the world follows already", () => {
  input.type("two suns");
  submit();
  field.show("");
  input.type("");
  submit();
  expect(asked).toEqual([]);
});

it("sends that there is to be no prompt any more", () => {
  input.type("");
  submit();
  expect(asked).toEqual([""]);
});

it("keeps a prompt that could not be sent", () => {
  isConnected = false;
  input.type("in the fog");
  submit();
  expect(input.value).toBe("in the fog");
});

it("does not overwrite what is being typed", () => {
  input.type("in th");
  field.show("snow");
  expect(input.value).toBe("in th");
  input.blur();
  expect(input.value).toBe("snow");
});

it("keeps what is being typed while another window has the focus", () => {
  input.type("a storm");
  input.ownerDocument.activeElement = input;
  input.blur();
  field.show("at night");
  expect(input.value).toBe("a storm");
});

it("forgets what was typed on Escape", () => {
  input.type("in th");
  press("Escape");
  expect(input.value).toBe("two suns");
});

it("leaves Escape to an input method that composes", () => {
  input.type("か");
  press("Escape", { isComposing: true });
  press("Escape", { keyCode: 229 });
  expect(input.value).toBe("か");
});
