import { expect, it } from "vitest";
import { watchInAddress, watchLink, withoutWatch } from "../../src/net/watch_links";

it("finds the token in the address's fragment, beside the server's own", () => {
  expect(watchInAddress("#watch=abc&token=x")).toBe("abc");
  expect(watchInAddress("#token=x")).toBeNull();
  expect(watchInAddress("")).toBeNull();
});

it("takes the link out of the address, but not the server's token", () => {
  expect(withoutWatch("#watch=abc&token=x")).toBe("#token=x");
  expect(withoutWatch("#watch=abc")).toBe("");
});

it.each([
  ["https://example.org/walk/", "https://example.org/walk/#watch=a_b-c"],
  ["https://example.org/walk/?a=1#token=secret", "https://example.org/walk/#watch=a_b-c"],
])("makes a link that holds nothing else of %s", (page, link) => {
  expect(watchLink(page, "a_b-c")).toBe(link);
});
