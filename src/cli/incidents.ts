/** `sluice incidents` and `sluice processes`: which of the server's processes ended, and how they are. */
import { MIB } from "../lib/bytes.ts";
import type { Health, ProcessHealth } from "../metrics/types.ts";
import { CAUSES, type Incident, incidentText } from "../versions/incident.ts";
import { call, type Target } from "./api.ts";

export async function incidents(target: Target, json: boolean): Promise<string> {
  const found = await call<Incident[]>(target, "GET", "/incidents?per_page=1000");
  if (json) return JSON.stringify(found, null, 2);
  if (found.length === 0) return "No process has ended unasked.";
  return found.map((incident) => `${incident.at}  ${incidentText(incident)}`).join("\n");
}

export async function processes(target: Target, json: boolean): Promise<string> {
  const health = await call<Health>(target, "GET", "/processes");
  return json ? JSON.stringify(health, null, 2) : toText(health);
}

function toText({ processes: all, disk, sampled_on, is_stale }: Health): string {
  const rows = [["process", "state", "MiB", "of", "descriptors", "of", "restarts"], ...all.map(columns)];
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return [
    ...rows.map((row) =>
      row
        .map((text, i) => text.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    ),
    ...(disk === null
      ? []
      : [`disk: ${mebibytes(disk.free_bytes)} of ${mebibytes(disk.size_bytes)} MiB free`]),
    ...(is_stale ? [`These figures are old: sluice serve has said nothing since ${sampled_on}.`] : []),
  ].join("\n");
}

function columns(process: ProcessHealth): string[] {
  const { name, up, resident_memory_bytes, memory_limit_bytes, open_fds, max_fds, restarts } = process;
  const counted = CAUSES.filter((cause) => (restarts?.[cause] ?? 0) > 0);
  return [
    name,
    up ? "up" : "restarting",
    mebibytes(resident_memory_bytes),
    mebibytes(memory_limit_bytes),
    String(open_fds ?? "–"),
    String(max_fds ?? "–"),
    counted.map((cause) => `${restarts?.[cause]} ${cause}`).join(", ") || "–",
  ];
}

function mebibytes(size: number | null): string {
  return size === null ? "–" : String(Math.round(size / MIB));
}
