/** What Prometheus reads about the server's processes. */
import { expect, test } from "vitest";
import { LIMITS } from "../../src/lib/limits.ts";
import { healthAt, setHealth } from "../../src/metrics/health.ts";
import { renderMetrics } from "../../src/metrics/openmetrics.ts";
import { processFamilies } from "../../src/metrics/process-families.ts";
import type { HealthSample, ProcessHealth } from "../../src/metrics/types.ts";
import type { Incident } from "../../src/versions/incident.ts";

const UP: ProcessHealth = {
  name: "canary",
  pid: 7,
  up: true,
  resident_memory_bytes: 80_000_000,
  memory_limit_bytes: 512_000_000,
  open_fds: 15,
  max_fds: 1024,
  cpu_seconds: 1.5,
  restarts: { hang: 2, memory: 0, ended: 1 },
};
const SUPERVISOR: ProcessHealth = { ...UP, name: "supervisor", memory_limit_bytes: null, restarts: null };
const SAMPLE: HealthSample = {
  processes: [SUPERVISOR, UP, { ...UP, name: "objects", up: false, resident_memory_bytes: null, pid: null }],
  disk: { free_bytes: 10, size_bytes: 100 },
};
const FRESH = { ...SAMPLE, sampled_on: "2026-11-25T12:00:00.000Z", is_stale: false };

const made = (change: Partial<Incident>): Incident => ({
  id: "1",
  process: "canary",
  cause: "hang",
  at: "2026-11-25T12:00:00.000Z",
  evidence: {},
  versions: [],
  culprit: null,
  ...change,
});

/** Lines with samples whose name begins like this. */
function lines(name: string, ...given: Parameters<typeof processFamilies>): string[] {
  const text = renderMetrics(
    { reasons: [], durations: [], stale: [] },
    new Map(),
    processFamilies(...given),
    "openmetrics",
  );
  return text.split("\n").filter((line) => line.startsWith(name));
}

test("each process has its figures, and those that it has not are left out", () => {
  expect(lines("sluice_process_up", FRESH, [])).toEqual([
    'sluice_process_up{process="supervisor"} 1',
    'sluice_process_up{process="canary"} 1',
    'sluice_process_up{process="objects"} 0',
  ]);
  expect(lines("sluice_process_resident_memory_bytes", FRESH, [])).toEqual([
    'sluice_process_resident_memory_bytes{process="supervisor"} 80000000',
    'sluice_process_resident_memory_bytes{process="canary"} 80000000',
  ]);
  expect(lines('sluice_process_restarts_total{process="canary"', FRESH, [])).toEqual([
    'sluice_process_restarts_total{process="canary",cause="hang"} 2',
    'sluice_process_restarts_total{process="canary",cause="memory"} 0',
    'sluice_process_restarts_total{process="canary",cause="ended"} 1',
  ]);
  expect(lines('sluice_process_restarts_total{process="supervisor"', FRESH, [])).toEqual([]);
  expect(lines("sluice_disk", FRESH, [])).toEqual([
    "sluice_disk_free_bytes 10",
    "sluice_disk_size_bytes 100",
  ]);
});

test("a stale sample shows that the supervisor is down, and no figure of it", () => {
  const stale = { ...FRESH, is_stale: true };
  expect(lines("sluice_process", stale, [])).toEqual(['sluice_process_up{process="supervisor"} 0']);
});

test("the newest incident of each process, cause and version is shown, with the version where it is certain", () => {
  const version = { worker: "shop", version: "v1" };
  const incidents = [
    made({ at: "2026-11-25T12:00:02.000Z", versions: [version] }),
    made({ at: "2026-11-25T12:00:01.000Z", culprit: version }),
    made({ versions: [version, { worker: "shop", version: "v2" }] }),
    made({ process: "control", cause: "ended" }),
  ];
  const second = Date.parse("2026-11-25T12:00:00.000Z") / 1000;
  const name = "sluice_last_incident_timestamp_seconds";
  expect(lines(name, FRESH, incidents)).toEqual([
    `${name}{process="canary",cause="hang",worker="shop",version="v1"} ${second + 2}`,
    `${name}{process="canary",cause="hang",worker="",version=""} ${second}`,
    `${name}{process="control",cause="ended",worker="",version=""} ${second}`,
  ]);
});

test("what the supervisor said is fresh for a while, and then stale", () => {
  const now = Date.parse("2026-11-25T12:00:00.000Z");
  expect(healthAt(now)).toEqual({ processes: [], disk: null, sampled_on: null, is_stale: false });
  setHealth(SAMPLE, now);
  const { sampleStaleMs } = LIMITS.metrics;
  expect(healthAt(now + sampleStaleMs)).toEqual(FRESH);
  expect(healthAt(now + sampleStaleMs + 1)).toEqual({ ...FRESH, is_stale: true });
});
