import { describe, expect, test } from "vitest";
import { withRange } from "../../src/assets/range.ts";

const part = (headers: Record<string, string>, method = "GET") =>
  withRange(
    new Request("https://shop.example/a", { headers, method }),
    new Response("0123456789", { headers: { ETag: '"abc"' } }),
    10,
  );

describe("a request for a part of a file", () => {
  test.each([
    ["bytes=2-4", "234", "bytes 2-4/10"],
    ["bytes=7-", "789", "bytes 7-9/10"],
    ["bytes=-3", "789", "bytes 7-9/10"],
    ["bytes=8-100", "89", "bytes 8-9/10"],
    ["bytes=0-1,2-3", "0123", "bytes 0-3/10"], // adjacent, so one part
  ])("%s gets %s", async (Range, text, contentRange) => {
    const response = await part({ Range });
    expect(response.status).toBe(206);
    expect(response.headers.get("Content-Range")).toBe(contentRange);
    expect(await response.text()).toBe(text);
  });

  test("that begins behind the end is refused with the size", async () => {
    const response = await part({ Range: "bytes=10-" });
    expect(response.status).toBe(416);
    expect(response.headers.get("Content-Range")).toBe("bytes */10");
  });

  test("holds where the client has this state of the file", async () => {
    expect((await part({ Range: "bytes=0-0", "If-Range": '"abc"' })).status).toBe(206);
  });
});

test.each([
  ["no range", {}],
  ["several ranges", { Range: "bytes=0-1,5-6" }],
  ["another unit", { Range: "lines=1-2" }],
  ["nonsense", { Range: "what" }],
  ["another state of the file", { Range: "bytes=0-1", "If-Range": '"old"' }],
])("the whole file is sent for %s", async (_, headers: Record<string, string>) => {
  const response = await part(headers);
  expect(response.status).toBe(200);
  expect(await response.text()).toBe("0123456789");
});

test("HEAD has no part", async () => {
  expect((await part({ Range: "bytes=0-1" }, "HEAD")).status).toBe(200);
});
