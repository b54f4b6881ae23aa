/** Reading bodies: never more than the limit, whatever the request says of its length. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutMessage, readCapped, readForm } from "../../src/control/body.ts";
import { LIMITS } from "../../src/lib/limits.ts";

const tooLarge = (limitBytes: number) => ({ ok: false, error: { reason: "body-too-large", limitBytes } });
const bytes = (length: number) => new Uint8Array(length).fill(7);

/** A request whose body comes in these chunks; `pulled` counts those that were asked for. */
function chunked(sizes: readonly number[], headers: Record<string, string> = {}) {
  const state = { pulled: 0 };
  const body = new ReadableStream(
    {
      pull(controller) {
        const size = sizes[state.pulled];
        if (size === undefined) return controller.close();
        state.pulled++;
        controller.enqueue(bytes(size));
      },
    },
    { highWaterMark: 0 },
  );
  const init = { method: "POST", body, headers, duplex: "half" };
  return { request: new Request("http://sluice/", init as RequestInit), state };
}

describe("a body with a limit", () => {
  test.each([
    [[], 0],
    [[0], 0],
    [[10], 10],
    [[4, 6], 10],
    [[1, 0, 9], 10],
  ])("is read where its chunks are %j bytes and the limit is %i", async (sizes, limit) => {
    const { request } = chunked(sizes);
    const value = bytes(sizes.reduce((sum, size) => sum + size, 0));
    expect(await readCapped(request, limit)).toEqual({ ok: true, value });
  });

  test.each([
    [[1], 0],
    [[11], 10],
    [[10, 1], 10],
    [[4, 4, 4], 10],
  ])("is refused where its chunks are %j bytes and the limit is %i", async (sizes, limit) => {
    const { request } = chunked(sizes);
    expect(await readCapped(request, limit)).toEqual(tooLarge(limit));
  });

  test("is not read at all where its Content-Length is over the limit", async () => {
    const { request, state } = chunked([1, 1, 1], { "Content-Length": "11" });
    expect(await readCapped(request, 10)).toEqual(tooLarge(10));
    expect(state.pulled).toBe(0);
  });

  test.each(["3", "0", "-1", "many", "1e1", "NaN"])(
    "is counted where its Content-Length says %j",
    async (length) => {
      const { request } = chunked([6, 6], { "Content-Length": length });
      expect(await readCapped(request, 10)).toEqual(tooLarge(10));
    },
  );

  test("is read no further than the chunk that exceeds it", async () => {
    const { request, state } = chunked(Array<number>(1_000).fill(5));
    expect(await readCapped(request, 12)).toEqual(tooLarge(12));
    expect(state.pulled).toBeLessThanOrEqual(4);
  });

  test("is empty where there is none", async () => {
    expect(await readCapped(new Request("http://sluice/"), 0)).toEqual({
      ok: true,
      value: new Uint8Array(),
    });
  });

  test("comes out as it went in, in whatever chunks", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 }), async (chunks) => {
        const body = new ReadableStream({
          start(controller) {
            for (const chunk of chunks) controller.enqueue(chunk);
            controller.close();
          },
        });
        const init = { method: "POST", body, duplex: "half" };
        const value = new Uint8Array(chunks.flatMap((chunk) => [...chunk]));
        expect(await readCapped(new Request("http://sluice/", init as RequestInit), 160)).toEqual({
          ok: true,
          value,
        });
      }),
      { numRuns: 50 },
    );
  });
});

describe("a form", () => {
  const post = (body: BodyInit | null, type?: string) =>
    readForm(
      new Request("http://sluice/", {
        method: "POST",
        body,
        ...(type === undefined ? {} : { headers: { "Content-Type": type } }),
      }),
    );

  test("is read, in whatever case its type is written", async () => {
    const part = '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n';
    for (const type of ["multipart/form-data; boundary=b", "Multipart/Form-Data; boundary=b"]) {
      const form = await post(part, type);
      expect(form.ok && form.value.get("a")).toBe("1");
    }
  });

  test.each([
    ["application/json", "{}"],
    ["text/plain", "multipart/form-data"],
    ["multipart/mixed; boundary=b", "--b--"],
    ["application/x-www-form-urlencoded", "a=1"],
  ])("is refused by its type where that is %s", async (type, body) => {
    expect(await post(body, type)).toMatchObject({
      ok: false,
      error: { reason: "upload-invalid", detail: expect.stringContaining(`"${type}"`) },
    });
  });

  test.each(["", "--b", "no boundary in here", '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1'])(
    "is refused where the body is %j",
    async (body) => {
      expect(await post(body, "multipart/form-data; boundary=b")).toMatchObject({
        ok: false,
        error: { reason: "upload-invalid", detail: expect.stringContaining("multipart") },
      });
    },
  );

  test("is refused with the limit where it is larger", async () => {
    const limit = LIMITS.uploads.maxUploadBytes;
    const { request } = chunked([1], {
      "Content-Type": "multipart/form-data; boundary=b",
      "Content-Length": String(limit + 1),
    });
    expect(await readForm(request)).toEqual(tooLarge(limit));
  });
});

describe("a message", () => {
  test.each([null, undefined, ""])("that is %j is none", (message) => {
    expect(cutMessage(message)).toBeNull();
  });

  test("is cut to the limit in bytes, between two characters", () => {
    const limit = LIMITS.uploads.maxMessageBytes;
    expect(cutMessage("a".repeat(limit))).toBe("a".repeat(limit));
    expect(cutMessage("a".repeat(limit + 1))).toBe("a".repeat(limit));
    expect(cutMessage("é".repeat(limit))).toBe("é".repeat(limit / 2));
    expect(cutMessage(`a${"é".repeat(limit)}`)).toBe(`a${"é".repeat(limit / 2 - 1)}`);
    expect(cutMessage("😀".repeat(limit))).toBe("😀".repeat(limit / 4));
  });

  test("of any text is a beginning of it that fits, and all of it where it fits", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 700 }), (message) => {
        const cut = cutMessage(message) ?? "";
        const size = new TextEncoder().encode(cut).length;
        expect(size).toBeLessThanOrEqual(LIMITS.uploads.maxMessageBytes);
        expect(message.startsWith(cut)).toBe(true);
        if (new TextEncoder().encode(message).length <= LIMITS.uploads.maxMessageBytes) {
          expect(cut).toBe(message);
        }
      }),
    );
  });
});
