import { describe, expect, it } from "vitest";
import { Api } from "../../src/net/api";

interface Asked {
  url: string;
  init: RequestInit;
}

function api(answer: Response, asked: Asked[] = [], token?: string): Api {
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    asked.push({ url, init });
    return answer;
  };
  return new Api("https://example.org/walk/#token=x", () => token, fetch);
}

it("asks beside the page, with the token", async () => {
  const asked: Asked[] = [];
  const answer = new Response("video");
  const init = { method: "DELETE", headers: { "X-Walk-Key": "key" } };
  expect(await api(answer, asked, "sesame").ask("api/snapshots/a", init)).toBe(answer);
  expect(asked).toEqual([
    {
      url: "https://example.org/walk/api/snapshots/a",
      init: { method: "DELETE", headers: { "X-Walk-Key": "key", Authorization: "Bearer sesame" } },
    },
  ]);
});

it("asks without a token where there is none", async () => {
  const asked: Asked[] = [];
  await api(new Response(), asked).ask("api/snapshots/", {});
  expect(asked[0]?.init).toEqual({ headers: {} });
});

describe("of an error answer", () => {
  it("says what the server says", async () => {
    const error = { error: { code: "not_found", message: "expected a walk that is kept here" } };
    await expect(api(Response.json(error, { status: 404 })).ask("a", {})).rejects.toThrow(
      "expected a walk that is kept here",
    );
  });

  it.each(["<html>Bad Gateway</html>", "", "null", "{}", '{"error": "busy"}', '{"error": {"message": 1}}'])(
    "says the status if the body is %j",
    async (body) => {
      await expect(api(new Response(body, { status: 502 })).ask("a", {})).rejects.toThrow(/^HTTP 502$/);
    },
  );
});
