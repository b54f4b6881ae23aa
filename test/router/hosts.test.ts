import { expect, test } from "vitest";
import { workersUnder } from "../../src/router/hosts.ts";

test("a Worker is the one label before the domain, on any port", () => {
  const workerOf = workersUnder("localhost");
  expect(workerOf("shop.localhost")).toBe("shop");
  expect(workerOf("shop.localhost:8787")).toBe("shop");
  expect(workerOf("my-shop_2.localhost:1")).toBe("my-shop_2");
  expect(workersUnder("Workers.Example.com")("shop.workers.example.com")).toBe("shop");
});

test("a host that is not exactly that belongs to no Worker", () => {
  const workerOf = workersUnder("localhost");
  for (const host of [
    "localhost",
    "localhost:8787",
    ".localhost",
    "a.b.localhost",
    "shop.example.com",
    "shoplocalhost",
    "shop.localhost.evil.com",
    "-shop.localhost",
    "sh%6fp.localhost",
    "",
    ":80",
    "[::1]:8787",
    `${"a".repeat(64)}.localhost`,
  ]) {
    expect(workerOf(host), host).toBeUndefined();
  }
});
