import { expect, it } from "vitest";
import { serverUrl } from "../../src/net/socket";

it.each([
  [
    "http://127.0.0.1:8000/",
    "ws://127.0.0.1:8000/ws?fields=taken_as%2Clatch%2Crevision%2Creceived%2Csights%2Cresume_in%2Cyielded%2Cplaces%2Csnapshots%2Ctimes_real_time%2Cwanted%2Cwatchers%2Crecording%2Crights%2Cunsaved%2Cseated%2Cmissing_chunks%2Cidle",
  ],
  [
    "https://example.org/walk/?a=1#token=x",
    "wss://example.org/walk/ws?fields=taken_as%2Clatch%2Crevision%2Creceived%2Csights%2Cresume_in%2Cyielded%2Cplaces%2Csnapshots%2Ctimes_real_time%2Cwanted%2Cwatchers%2Crecording%2Crights%2Cunsaved%2Cseated%2Cmissing_chunks%2Cidle",
  ],
])("finds the socket beside the page %s", (page, expected) => {
  expect(serverUrl(page)).toBe(expected);
});
