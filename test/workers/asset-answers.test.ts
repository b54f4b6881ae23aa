import { beforeEach, describe, expect, test } from "vitest";
import { Answers } from "../../src/assets/answers.ts";
import { LIMITS } from "../../src/lib/limits.ts";

const FOLDER = "files/shop/";
const FILES = new Map([[`${FOLDER}abc`, new TextEncoder().encode("hello")]]);
const peek = (file: string) => FILES.get(file);

const get = (path: string, headers: Record<string, string> = {}, method = "GET") =>
  new Request(`https://shop.example${path}`, { headers, method });
const made = (headers: Record<string, string> = { ETag: '"abc"' }) => new Response("hello", { headers });

let answers: Answers;
beforeEach(() => {
  answers = new Answers(false);
});

describe("a response made ahead", () => {
  beforeEach(() => answers.remember(get("/a.txt"), made({ ETag: '"abc"', "X-A": "1" }), FOLDER));

  test("has the headers and the bytes of the first one, whatever the query", async () => {
    const response = answers.get(get("/a.txt?q"), peek);
    expect(response?.headers.get("X-A")).toBe("1");
    expect(await response?.text()).toBe("hello");
  });

  test.each(['"abc"', 'W/"abc"'])("is 304 without a body for a client that has %s", async (known) => {
    const response = answers.get(get("/a.txt", { "If-None-Match": known }), () => undefined);
    expect(response?.status).toBe(304);
    expect(response?.body).toBeNull();
  });

  test.each([
    ["another path", get("/b.txt")],
    ["HEAD", get("/a.txt", {}, "HEAD")],
    ["a range", get("/a.txt", { Range: "bytes=0-1" })],
    ["credentials", get("/a.txt", { Authorization: "Bearer x" })],
  ])("is not for %s", (_, request) => {
    expect(answers.get(request, peek)).toBeUndefined();
  });

  test("is not there once the file has left the memory", () => {
    expect(answers.get(get("/a.txt"), () => undefined)).toBeUndefined();
  });
});

test.each([
  ["without an ETag", get("/a.txt"), made({})],
  ["to HEAD", get("/a.txt", {}, "HEAD"), made()],
  ["to a range", get("/a.txt", { Range: "bytes=0-1" }), made()],
  ["to credentials", get("/a.txt", { Authorization: "Bearer x" }), made()],
])("a response %s is not kept", (_, request, response) => {
  answers.remember(request, response, FOLDER);
  expect(answers.get(get("/a.txt"), peek)).toBeUndefined();
});

test("where headers depend on the host, one host's response is not given to another", () => {
  const byHost = new Answers(true);
  byHost.remember(new Request("https://a.example/a.txt"), made(), FOLDER);
  expect(byHost.get(new Request("https://b.example/a.txt"), peek)).toBeUndefined();
  expect(byHost.get(new Request("https://a.example/a.txt?q"), peek)).toBeDefined();
});

test("the number of kept responses is bounded", () => {
  for (let i = 0; i <= LIMITS.assets.maxAnswers; i++) answers.remember(get(`/${i}`), made(), FOLDER);
  expect(answers.get(get("/0"), peek)).toBeUndefined();
  expect(answers.get(get(`/${LIMITS.assets.maxAnswers}`), peek)).toBeDefined();
});
