import { expect, it } from "vitest";
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
  return new Recording("https://example.org/walk/#token=x", () => token, fetch);
}

it("asks beside the page, with the secret in a header", async () => {
  const asked: Asked[] = [];
  const video = await recording(new Response("video"), asked, "sesame").download(SESSION);
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
  await expect(recording(Response.json(error, { status: 404 })).download(SESSION)).rejects.toThrow(
    "expected a session that is recorded here",
  );
});
