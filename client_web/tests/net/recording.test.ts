import { expect, it } from "vitest";
import { Api } from "../../src/net/api";
import { Recording } from "../../src/net/recording";

interface Asked {
  url: string;
  init: RequestInit;
}

const SESSION = { session: "abc", secret: "only mine" };

function recording(answer: Response, asked: Asked[] = [], token?: string): Recording {
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    asked.push({ url, init });
    return answer;
  };
  return new Recording(new Api("https://example.org/walk/#token=x", () => token, fetch));
}

it("asks beside the page, with the secret in a header", async () => {
  const asked: Asked[] = [];
  const video = await recording(new Response("video"), asked, "sesame").video(SESSION);
  expect(await video.text()).toBe("video");
  expect(asked).toEqual([
    {
      url: "https://example.org/walk/api/sessions/abc/recording.mp4",
      init: { headers: { "X-Session-Secret": "only mine", Authorization: "Bearer sesame" } },
    },
  ]);
});

it("says what the server says", async () => {
  const error = { error: { code: "not_found", message: "expected a session that is recorded here" } };
  await expect(recording(Response.json(error, { status: 404 })).video(SESSION)).rejects.toThrow(
    "expected a session that is recorded here",
  );
});

it("asks for the path in the same way", async () => {
  const asked: Asked[] = [];
  const path = await recording(new Response("{}"), asked).walk(SESSION);
  expect([await path.text(), asked[0]?.url]).toEqual([
    "{}",
    "https://example.org/walk/api/sessions/abc/walk.json",
  ]);
});

it("makes a link that holds neither the secret nor the server's token", () => {
  expect(recording(new Response("")).link(SESSION, "t-_")).toBe(
    "https://example.org/walk/api/sessions/abc/recording.mp4?share=t-_",
  );
});
