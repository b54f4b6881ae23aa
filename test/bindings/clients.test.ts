/** What a version's own code may pass to its bindings: refused before anything is sent. */
import { describe, expect, test, vi } from "vitest";
import { D1Database } from "../../src/bindings/d1/client.ts";
import { KvNamespace } from "../../src/bindings/kv/client.ts";
import { Ratelimit } from "../../src/bindings/ratelimit/client.ts";

/** The other end of a channel: notes what it is asked. */
function remote(answer: unknown = undefined) {
  const call = vi.fn(async (..._: unknown[]) => answer);
  const channel = {
    get: call,
    getWithMetadata: call,
    put: call,
    delete: call,
    list: call,
    query: call,
    limit: call,
  };
  return { call, channel: channel as never };
}

describe("a KV namespace", () => {
  test.each([
    ["", "Key name cannot be empty."],
    [".", '"." is not allowed as a key name.'],
    ["..", '".." is not allowed as a key name.'],
    ["é".repeat(257), "KV GET failed: 414 UTF-8 encoded length of 514 exceeds key length limit of 512."],
  ])("refuses the key %s", async (key, message) => {
    const { call, channel } = remote();
    await expect(new KvNamespace(channel).get(key)).rejects.toThrow(message);
    expect(call).not.toHaveBeenCalled();
  });

  test("takes a key of 512 bytes", async () => {
    const { call, channel } = remote("value");
    expect(await new KvNamespace(channel).get("é".repeat(256))).toBe("value");
    expect(call).toHaveBeenCalledOnce();
  });

  test("sends of a view its own bytes only", async () => {
    const { call, channel } = remote();
    await new KvNamespace(channel).put("k", new Uint8Array([1, 2, 3, 4]).subarray(1, 3));
    const sent = call.mock.calls[0]?.[1] as Uint8Array;
    expect([...sent]).toEqual([2, 3]);
    expect(sent.buffer.byteLength).toBe(2);
  });

  test("refuses a value that is not one, or is too large", async () => {
    const { call, channel } = remote();
    const kv = new KvNamespace(channel);
    await expect(kv.put("k", {})).rejects.toThrow("KV put() accepts only strings");
    await expect(kv.put("k", undefined)).rejects.toThrow("parameter 2 is not of type 'string or Object'");
    await expect(kv.put("k", new ArrayBuffer(25 * 1024 * 1024 + 1))).rejects.toThrow("413 Value length");
    expect(call).not.toHaveBeenCalled();
  });
});

describe("a D1 database", () => {
  test.each([
    [true, 1],
    [false, 0],
    [null, null],
    ["text", "text"],
  ])("binds %s as %s", async (value, param) => {
    const { call, channel } = remote({ ok: true, value: [{ columns: [], rows: [], meta: {} }] });
    await new D1Database(channel).prepare("SELECT ?").bind(value).all();
    expect(call).toHaveBeenCalledWith([{ sql: "SELECT ?", params: [param] }]);
  });

  test("refuses a value that SQLite does not take", () => {
    const statement = new D1Database(remote().channel).prepare("SELECT ?");
    expect(() => statement.bind(undefined)).toThrow("D1_TYPE_ERROR: Type 'undefined' not supported");
    expect(() => statement.bind({})).toThrow("D1_TYPE_ERROR: Type 'object' not supported");
  });

  test.each(["", "-- only a comment", "/* and\nthis */"])(
    "refuses text without a statement: %s",
    async (sql) => {
      const { call, channel } = remote();
      await expect(new D1Database(channel).prepare(sql).all()).rejects.toThrow("No SQL statements detected");
      expect(call).not.toHaveBeenCalled();
    },
  );

  test("passes SQLite's error on under D1's prefix, with its cause", async () => {
    const { channel } = remote({ ok: false, error: "no such table: t" });
    const failed = new D1Database(channel).prepare("SELECT * FROM t").all();
    await expect(failed).rejects.toMatchObject({
      message: "D1_ERROR: no such table: t",
      cause: new Error("no such table: t"),
    });
  });

  test("gives a blob as the numbers of its bytes", async () => {
    const rows = [[new Uint8Array([1, 2]).buffer]];
    const { channel } = remote({ ok: true, value: [{ columns: ["b"], rows, meta: {} }] });
    expect(await new D1Database(channel).prepare("SELECT b").first()).toEqual({ b: [1, 2] });
  });
});

test.each([
  [undefined, "invalid rate limit options"],
  [{ key: 1 }, "invalid key: 1"],
  [{ key: "a", period: 60 }, "bad rate limit options: [period]"],
])("a rate limit refuses the options %j", async (options, message) => {
  const { call, channel } = remote();
  await expect(new Ratelimit(channel).limit(options as never)).rejects.toThrow(message);
  expect(call).not.toHaveBeenCalled();
});
