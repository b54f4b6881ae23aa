import { describe, expect, test } from "vitest";
import { traceOf } from "../../src/events/traces.ts";
import { EVENT_METHOD, eventMethod } from "../../src/versions/names.ts";

const HEADERS = { "CF-Connecting-IP": "192.0.2.1", Authorization: "Bearer secret" };

const trace = (change: object) =>
  ({
    outcome: "ok",
    eventTimestamp: 1,
    event: null,
    logs: [],
    exceptions: [],
    truncated: false,
    cpuTime: 2,
    wallTime: 3,
    ...change,
  }) as unknown as TraceItem;

const request = {
  url: "https://shop.example/",
  method: "GET",
  headers: { authorization: "REDACTED" },
  getUnredacted: () => ({
    headers: { "cf-connecting-ip": "192.0.2.1", Authorization: HEADERS.Authorization },
  }),
};

const traced = (change: object) => traceOf(trace(change), "shop", "v1", "cf-connecting-ip");

describe("a request", () => {
  test("is shown with redacted headers; only filters see the others and the client address", () => {
    const shown = traced({ event: { request, response: { status: 204 } } });
    expect(shown).toMatchObject({
      method: "GET",
      headers: { authorization: "Bearer secret" },
      clientAddress: "192.0.2.1",
      event: {
        scriptName: "shop",
        scriptVersion: { id: "v1" },
        event: { request: { headers: { authorization: "REDACTED" } }, response: { status: 204 } },
      },
    });
    expect(JSON.stringify(shown?.event)).not.toContain("secret");
  });

  test("without an answer has no response", () => {
    expect(traced({ event: { request } })?.event.event).not.toHaveProperty("response");
  });
});

describe("a call of Sluice's own", () => {
  test("is not shown", () => {
    expect(traced({ entrypoint: "__sluice__", event: { request } })).toBeUndefined();
    expect(traced({ entrypoint: "__sluice_queue__", event: { rpcMethod: "other" } })).toBeUndefined();
  });

  test("that passes an event to a handler is shown as that event, without the entrypoint", () => {
    const rpcMethod = eventMethod({ queue: "orders", batchSize: 2 });
    const shown = traced({ entrypoint: "__sluice_queue__", event: { rpcMethod } })?.event;
    expect(shown?.event).toEqual({ queue: "orders", batchSize: 2 });
    expect(shown).not.toHaveProperty("entrypoint");
  });
});

test("a call of the user's own entrypoint is shown with its method, even if it looks like an event", () => {
  const rpcMethod = `${EVENT_METHOD}{}`;
  expect(traced({ entrypoint: "Admin", event: { rpcMethod } })?.event).toMatchObject({
    entrypoint: "Admin",
    event: { rpcMethod },
  });
});

test("the stack of an exception has no line of what Sluice adds to a version", () => {
  const stack =
    "    at Object.fetch (file:///bundle/index.js:5:35)\n    at file:///bundle/__sluice_globals.js:28:62";
  const exceptions = [{ name: "Error", message: "broken", timestamp: 1, stack }];
  expect(traced({ exceptions })?.event.exceptions).toMatchObject([
    { message: "broken", stack: "    at Object.fetch (file:///bundle/index.js:5:35)" },
  ]);
});
