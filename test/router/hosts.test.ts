import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { WORKER_NAME, workersUnder } from "../../src/router/hosts.ts";

const label = fc.stringMatching(/^[a-z0-9_][a-z0-9_-]{0,62}$/);
const domain = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
const port = fc.option(fc.integer({ min: 1, max: 65_535 }));

describe("the Worker of a host", () => {
  test("is the one label before the domain, on any port", () => {
    const workerOf = workersUnder("localhost");
    expect(workerOf("shop.localhost")).toBe("shop");
    expect(workerOf("shop.localhost:8787")).toBe("shop");
    expect(workerOf("my-shop_2.localhost:1")).toBe("my-shop_2");
    expect(workerOf("localhost.localhost")).toBe("localhost");
    expect(workerOf(`${"a".repeat(63)}.localhost`)).toBe("a".repeat(63));
  });

  test("is the one label before a domain of several labels, however the operator wrote it", () => {
    const workerOf = workersUnder("Workers.Example.com");
    expect(workerOf("shop.workers.example.com:443")).toBe("shop");
    expect(workerOf("eu.shop.workers.example.com")).toBeUndefined();
    expect(workerOf("workers.example.com")).toBeUndefined();
    expect(workerOf("shop.example.com")).toBeUndefined();
  });

  test("is found for every name under every domain", () => {
    fc.assert(
      fc.property(label, domain, port, (worker, under, number) => {
        const host = `${worker}.${under}${number === null ? "" : `:${number}`}`;
        return WORKER_NAME.test(worker) && workersUnder(under)(host) === worker;
      }),
    );
  });

  test("is absent for any other host", () => {
    const workerOf = workersUnder("localhost");
    for (const host of [
      "localhost",
      "localhost:8787",
      ".localhost",
      ".localhost:8787",
      "a.b.localhost",
      "shop..localhost",
      "shop.example.com",
      "shoplocalhost",
      "shop.localhost.evil.com",
      "-shop.localhost",
      "sh%6fp.localhost",
      "sh op.localhost",
      "shöp.localhost",
      "shop/.localhost",
      "",
      ":",
      ":80",
      "shop.localhost:80:80",
      "[::1]:8787",
      "[::1]",
      `${"a".repeat(64)}.localhost`,
    ]) {
      expect(workerOf(host), host).toBeUndefined();
    }
  });

  test("is a valid name or none, whatever the host says", () => {
    const workerOf = workersUnder("localhost");
    const host = fc
      .tuple(fc.string(), fc.constantFrom("", ".localhost", ".localhost:80"))
      .map((of) => of.join(""));
    fc.assert(
      fc.property(host, (text) => {
        const worker = workerOf(text);
        return worker === undefined || (WORKER_NAME.test(worker) && text.startsWith(`${worker}.localhost`));
      }),
    );
  });
});
