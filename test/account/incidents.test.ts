/** The account's list of incidents. */
import { expect, test } from "vitest";
import { Incidents } from "../../src/account/incidents.ts";
import { LIMITS } from "../../src/lib/limits.ts";
import type { Incident } from "../../src/versions/incident.ts";
import { openSqlite } from "../support/sqlite.ts";

const made = (id: number): Incident => ({
  id: String(id),
  process: "canary",
  cause: "hang",
  at: new Date(Date.UTC(2026, 10, 25) + id * 1000).toISOString(),
  evidence: { silent_ms: 2000 },
  versions: [{ worker: "shop", version: "v" }],
  culprit: null,
});

test("an incident that is reported twice is listed once, as it was reported first", () => {
  const incidents = new Incidents(openSqlite());
  incidents.add(made(1));
  incidents.add({ ...made(1), process: "control" });
  expect(incidents.list()).toEqual([made(1)]);
});

test("the list is newest first, also where an older incident is reported late", () => {
  const incidents = new Incidents(openSqlite());
  for (const id of [1, 3, 2]) incidents.add(made(id));
  expect(incidents.list().map(({ id }) => id)).toEqual(["3", "2", "1"]);
});

test("the oldest are forgotten above the limit", () => {
  const incidents = new Incidents(openSqlite());
  const { keptIncidents } = LIMITS.lists;
  for (let id = 0; id < keptIncidents + 3; id++) incidents.add(made(id));
  const kept = incidents.list();
  expect(kept).toHaveLength(keptIncidents);
  expect([kept[0]?.id, kept.at(-1)?.id]).toEqual([String(keptIncidents + 2), "3"]);
});
