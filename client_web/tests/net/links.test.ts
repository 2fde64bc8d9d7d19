import { expect, it } from "vitest";
import { readLink, watchLink, withoutLink } from "../../src/net/links";

it.each(["watch", "walk"] as const)(
  "finds what the fragment links to, beside the server's token: %s",
  (linked) => {
    expect(readLink(`#${linked}=abc&token=x`, linked)).toBe("abc");
    expect(readLink("#token=x", linked)).toBeNull();
    expect(readLink("", linked)).toBeNull();
  },
);

it.each(["watch", "walk"] as const)(
  "takes the link out of the address, but not the server's token: %s",
  (linked) => {
    expect(withoutLink(`#${linked}=abc&token=x`, linked)).toBe("#token=x");
    expect(withoutLink(`#${linked}=abc`, linked)).toBe("");
  },
);

it.each([
  ["https://example.org/walk/", "https://example.org/walk/#watch=a_b-c"],
  ["https://example.org/walk/?a=1#token=secret", "https://example.org/walk/#watch=a_b-c"],
])("makes a link that holds nothing else of %s", (page, link) => {
  expect(watchLink(page, "a_b-c")).toBe(link);
});
