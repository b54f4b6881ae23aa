/** What an incident says, and whom it names. */
import { expect, test } from "vitest";
import { type Incident, incidentText, suspectOf, versionsNamed } from "../../src/versions/incident.ts";

const INCIDENT: Incident = {
  id: "1",
  process: "canary",
  cause: "hang",
  at: "2026-11-25T12:00:00.000Z",
  evidence: { silent_ms: 2140, busy_ms: 2100 },
  versions: [],
  culprit: null,
};
const ran = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ worker: "shop", version: `v${i}` }));

test.each<[string, Partial<Incident>, string]>([
  ["a hang", {}, "Process canary did not answer for 2.1 s. It was ended and started again."],
  [
    "a hang without a figure",
    { evidence: {} },
    "Process canary did not answer. It was ended and started again.",
  ],
  [
    "too much memory",
    { cause: "memory", evidence: { mib: 700, limit_mib: 512 } },
    "Process canary used 700 MiB of memory; it may use 512. It was ended and started again.",
  ],
  [
    "an end by a signal",
    { cause: "ended", evidence: { code: null, signal: "SIGKILL" } },
    "Process canary ended by itself (SIGKILL). It was started again.",
  ],
  [
    "an end with an exit code",
    { cause: "ended", evidence: { code: 3, signal: null } },
    "Process canary ended by itself (exit code 3). It was started again.",
  ],
  [
    "an end that nothing is known of",
    { cause: "ended", evidence: {} },
    "Process canary ended by itself. It was started again.",
  ],
])("%s is told in a sentence", (_, change, text) => {
  expect(incidentText({ ...INCIDENT, ...change })).toBe(text);
});

test("the cause is named alone; otherwise the versions that ran are, three at most", () => {
  expect(incidentText({ ...INCIDENT, versions: ran(2), culprit: { worker: "shop", version: "v1" } })).toMatch(
    /again\. The cause is version v1 of shop\.$/,
  );
  expect(incidentText({ ...INCIDENT, versions: ran(2) })).toMatch(
    /again\. Under way: version v0 of shop, version v1 of shop\.$/,
  );
  expect(incidentText({ ...INCIDENT, versions: ran(5) })).toMatch(/version v2 of shop and 2 more\.$/);
});

test("each version is named once, the culprit first", () => {
  const incident = { ...INCIDENT, versions: ran(3), culprit: { worker: "shop", version: "v2" } };
  expect(versionsNamed(incident).map(({ version }) => version)).toEqual(["v2", "v0", "v1"]);
});

test("one version is suspected where it is to blame, or ran alone, and nobody otherwise", () => {
  const culprit = { worker: "shop", version: "v1" };
  expect(suspectOf({ ...INCIDENT, versions: ran(2), culprit })).toEqual(culprit);
  expect(suspectOf({ ...INCIDENT, versions: ran(1) })?.version).toBe("v0");
  expect(suspectOf({ ...INCIDENT, versions: ran(2) })).toBeUndefined();
  expect(suspectOf(INCIDENT)).toBeUndefined();
});
