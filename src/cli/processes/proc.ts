/** What Linux says of a process (proc(5)). */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { MIB } from "../../lib/bytes.ts";

/** Ticks of the processor's clock per second, in which Linux counts (sysconf(_SC_CLK_TCK), 100 everywhere). */
const TICKS_PER_SECOND = 100;

/** On other systems, and of a process that has ended, every figure is null. */
export interface Figures {
  readonly resident_memory_bytes: number | null;
  readonly open_fds: number | null;
  readonly max_fds: number | null;
  readonly cpu_seconds: number | null;
}

export function figuresOf(pid: number | undefined): Figures {
  const status = read(pid, "status");
  const limits = read(pid, "limits");
  const cpuMs = status === null ? undefined : cpuOf(pid);
  return {
    resident_memory_bytes: status === null ? null : residentOf(status),
    open_fds: openOf(pid),
    max_fds: limits === null ? null : maxFilesOf(limits),
    cpu_seconds: cpuMs === undefined ? null : cpuMs / 1000,
  };
}

/** Resident memory of a process in MiB; 0 where the system does not say. */
export function memoryOf(pid: number | undefined): number {
  return (residentOf(read(pid, "status") ?? "") ?? 0) / MIB;
}

/** Processor time of a process in ms; undefined where the system does not say. */
export function cpuOf(pid: number | undefined): number | undefined {
  if (process.platform !== "linux") return undefined;
  const stat = read(pid, "stat");
  if (stat === null) return 0;
  // The name before it may contain spaces (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** Descriptors that a process has open; null where the system does not say. */
export function openOf(pid: number | undefined): number | null {
  if (process.platform !== "linux" || pid === undefined) return null;
  try {
    // Since Linux 6.2, the folder's size is the number.
    return statSync(`/proc/${pid}/fd`).size || readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return null;
  }
}

/**
 * Descriptors that a process may have open; infinity where the system does not say. Node.js raises its own limit as far as
 * it may, and processes inherit it.
 */
export function maxFiles(): number {
  return maxFilesOf(read(process.pid, "limits") ?? "") ?? Number.POSITIVE_INFINITY;
}

/** Resident memory in bytes. @param status text of /proc/<pid>/status; a process that is ending has no such line */
export function residentOf(status: string): number | null {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kib === undefined ? null : Number(kib) * 1024;
}

/** The soft limit of open files. @param limits text of /proc/<pid>/limits */
export function maxFilesOf(limits: string): number | null {
  const soft = /^Max open files\s+(\d+)\s/m.exec(limits)?.[1];
  return soft === undefined ? null : Number(soft);
}

function read(pid: number | undefined, file: "limits" | "stat" | "status"): string | null {
  if (process.platform !== "linux" || pid === undefined) return null;
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return null;
  }
}
