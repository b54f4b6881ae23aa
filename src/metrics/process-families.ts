/** What Prometheus reads about the server's processes. Pure. */
import { CAUSES, type Incident, suspectOf } from "../versions/incident.ts";
import { SUPERVISOR } from "./health.ts";
import { type Family, gauge } from "./openmetrics.ts";
import type { Health, ProcessHealth } from "./types.ts";

/**
 * Nothing of a stale sample but that the supervisor is down: the last figures of a process say nothing about it then.
 *
 * @param incidents newest first
 */
export function processFamilies(health: Health, incidents: readonly Incident[]): Family[] {
  const { processes, disk } = health.is_stale ? { processes: [], disk: null } : health;
  const ups = health.is_stale ? [{ name: SUPERVISOR, up: false }] : processes;
  /** A figure of every process that has it. */
  const of = (figure: (process: ProcessHealth) => number | null) =>
    processes.flatMap((process) => {
      const value = figure(process);
      return value === null ? [] : [{ labels: { process: process.name }, value }];
    });
  return [
    gauge(
      "sluice_process_up",
      "1 while a process serves, 0 while it is being restarted or the supervisor is silent.",
      ups.map(({ name, up }) => ({ labels: { process: name }, value: up ? 1 : 0 })),
    ),
    {
      name: "sluice_process_restarts",
      type: "counter",
      help: "Ends of a process that nobody asked for: hang, memory (over its limit), ended (by itself or from outside).",
      samples: processes.flatMap(({ name, restarts }) =>
        restarts === null
          ? []
          : restarts === null
            ? []
            : CAUSES.map((cause) => ({
                suffix: "_total",
                labels: { process: name, cause },
                value: restarts[cause],
              })),
      ),
    },
    {
      name: "sluice_process_cpu_seconds",
      type: "counter",
      unit: "seconds",
      help: "Processor time of a process since it started.",
      samples: of(({ cpu_seconds }) => cpu_seconds).map((sample) => ({ suffix: "_total", ...sample })),
    },
    gauge(
      "sluice_process_resident_memory_bytes",
      "Resident memory of a process.",
      of(({ resident_memory_bytes }) => resident_memory_bytes),
      "bytes",
    ),
    gauge(
      "sluice_process_memory_limit_bytes",
      "Resident memory above which a process is restarted.",
      of(({ memory_limit_bytes }) => memory_limit_bytes),
      "bytes",
    ),
    gauge(
      "sluice_process_open_fds",
      "Open file descriptors of a process.",
      of(({ open_fds }) => open_fds),
    ),
    gauge(
      "sluice_process_max_fds",
      "File descriptors that a process may open.",
      of(({ max_fds }) => max_fds),
    ),
    ...diskFamilies(disk),
    lastIncidents(incidents),
  ];
}

function diskFamilies(disk: Health["disk"]): Family[] {
  const of = (value: number | undefined) => (value === undefined ? [] : [{ labels: {}, value }]);
  return [
    gauge(
      "sluice_disk_free_bytes",
      "Free space of the file system with the data folder.",
      of(disk?.free_bytes),
      "bytes",
    ),
    gauge(
      "sluice_disk_size_bytes",
      "Size of the file system with the data folder.",
      of(disk?.size_bytes),
      "bytes",
    ),
  ];
}

/** The newest incident of each process, cause and version. */
function lastIncidents(incidents: readonly Incident[]): Family {
  const newest = new Map<string, { labels: Record<string, string>; value: number }>();
  for (const incident of incidents) {
    const { process, cause, at } = incident;
    const { worker = "", version = "" } = suspectOf(incident) ?? {};
    const key = [process, cause, version].join(" ");
    if (newest.has(key)) continue;
    newest.set(key, { labels: { process, cause, worker, version }, value: Date.parse(at) / 1000 });
  }
  return gauge(
    "sluice_last_incident_timestamp_seconds",
    "When a process last ended that nobody asked for. Worker and version: whose fault it was, or empty.",
    [...newest.values()],
    "seconds",
  );
}
