import { readFileSync } from "node:fs";
import { decode as unpack } from "@msgpack/msgpack";
import { describe, expect, it } from "vitest";
import { type ClientMessage, decode, encode, ProtocolError } from "../../src/net/protocol";

interface Vector {
  name: string;
  direction: "client" | "server";
  hex?: string;
  map?: unknown;
}

const path = new URL("../../../tests/data/protocol_vectors.json", import.meta.url);
const { vectors } = JSON.parse(readFileSync(path, "utf8")) as { vectors: Vector[] };
const right = vectors.filter((vector) => vector.map !== undefined);

const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));

/** `{"$hex": ...}` in a vector stands for bytes. */
function withBytes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withBytes);
  if (typeof value !== "object" || value === null) return value;
  if ("$hex" in value) return fromHex(String(value.$hex));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withBytes(item)]));
}

describe("the shared vectors", () => {
  it("hold messages both ways", () => {
    expect(new Set(right.map((vector) => vector.direction))).toEqual(new Set(["client", "server"]));
  });

  for (const { name, hex, map } of right.filter((vector) => vector.direction === "server")) {
    it(`decodes ${name}`, () => {
      expect(decode(fromHex(hex ?? ""))).toEqual(withBytes(map));
    });
  }

  for (const { name, map } of right.filter((vector) => vector.direction === "client")) {
    it(`encodes ${name}`, () => {
      expect(unpack(encode(withBytes(map) as ClientMessage))).toEqual(withBytes(map));
    });
  }
});

describe("decode", () => {
  const frame = (map: unknown): Uint8Array => encode(map as ClientMessage);

  it("names the field that is wrong", () => {
    expect(() => decode(frame({ type: "pong", t: 1, server: "soon" }))).toThrow(
      "pong.server: expected a finite number",
    );
  });

  it("names the field that is missing", () => {
    expect(() => decode(frame({ type: "bye" }))).toThrow("bye.reason: expected a string");
  });

  it("ignores a type and a field it does not know", () => {
    expect(decode(frame({ type: "weather", rain: true }))).toBeNull();
    expect(decode(frame({ type: "bye", reason: "done", mood: "fine" }))).toMatchObject({ reason: "done" });
  });

  it.each([
    ["a text frame", "hello"],
    ["no MessagePack", new Uint8Array([0xc1])],
    ["trailing bytes", new Uint8Array([0x80, 0x80])],
    ["no map", new Uint8Array([0x01])],
    ["no type", new Uint8Array([0x80])],
  ])("refuses %s", (_what, bytes) => {
    expect(() => decode(bytes)).toThrow(ProtocolError);
  });
});

describe("encode", () => {
  it("leaves out what is undefined", () => {
    const message = { type: "start", prompt: undefined } as unknown as ClientMessage;
    expect(unpack(encode(message))).toEqual({ type: "start" });
  });
});
