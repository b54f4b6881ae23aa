import { describe, expect, test } from "vitest";
import { passes, type TailFilter, type TracedEvent } from "../../src/events/tail-filters.ts";

const traced = (change: Partial<TracedEvent["event"]> = {}): TracedEvent => ({
  method: "GET",
  headers: { "x-user": "anna", "user-agent": "curl/8" },
  clientAddress: "192.0.2.1",
  event: {
    outcome: "ok",
    scriptName: "shop",
    scriptVersion: { id: "v1" },
    eventTimestamp: 0,
    event: null,
    logs: [{ message: ["order", { id: 7 }], level: "log", timestamp: 0 }],
    exceptions: [],
    truncated: false,
    cpuTime: 0,
    wallTime: 0,
    ...change,
  },
});
const shown = (filters: TailFilter[], event = traced()) => passes(filters, event, () => 0.5);

describe("a tail", () => {
  test("without filters shows everything", () => {
    expect(shown([])).toBe(true);
  });

  test("shows what every one of its filters lets through, and nothing else", () => {
    const cases: [TailFilter, TailFilter][] = [
      [{ sampling_rate: 0.6 }, { sampling_rate: 0.5 }],
      [{ outcome: ["exception", "ok"] }, { outcome: ["exception"] }],
      [{ method: ["get"] }, { method: ["POST", "PUT"] }],
      [{ header: { key: "X-User" } }, { header: { key: "X-Other" } }],
      [{ header: { key: "X-User", query: "ann" } }, { header: { key: "X-User", query: "bob" } }],
      [{ client_ip: ["192.0.2.9", "192.0.2.1"] }, { client_ip: ["192.0.2.9"] }],
      [{ query: "order" }, { query: "refund" }],
      [{ query: '"id":7' }, { query: '"id":8' }],
      [{ scriptVersion: "v1" }, { scriptVersion: "v2" }],
    ];
    for (const [yes, no] of cases) {
      expect(shown([yes]), JSON.stringify(yes)).toBe(true);
      expect(shown([no]), JSON.stringify(no)).toBe(false);
      expect(shown([yes, no])).toBe(false);
    }
    expect(shown(cases.map(([yes]) => yes))).toBe(true);
  });

  test("finds a text in exceptions as well", () => {
    const failed = traced({ exceptions: [{ name: "Error", message: "no stock", timestamp: 0 }] });
    expect(shown([{ query: "no stock" }], failed)).toBe(true);
  });

  test("leaves out an event without a request where a filter asks for one", () => {
    const { method: _, clientAddress: __, ...rest } = traced();
    const cron: TracedEvent = { ...rest, method: undefined, clientAddress: undefined, headers: {} };
    for (const filter of [{ method: ["GET"] }, { client_ip: ["192.0.2.1"] }, { header: { key: "X-User" } }]) {
      expect(shown([filter], cron)).toBe(false);
    }
  });
});
