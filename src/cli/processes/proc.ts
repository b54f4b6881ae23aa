/** What Linux says of a process (proc(5)). On other systems, and of a process that has ended, every figure is null. */
import { readdir, readFile } from "node:fs/promises";
import { cpuOf } from "./watchdog.ts";

export interface Figures {
  readonly resident_memory_bytes: number | null;
  readonly open_fds: number | null;
  readonly max_fds: number | null;
  readonly cpu_seconds: number | null;
}

const NOTHING: Figures = { resident_memory_bytes: null, open_fds: null, max_fds: null, cpu_seconds: null };

export async function figuresOf(pid: number | undefined): Promise<Figures> {
  if (process.platform !== "linux" || pid === undefined) return NOTHING;
  const at = `/proc/${pid}`;
  try {
    const [status, limits, open] = await Promise.all([
      readFile(`${at}/status`, "utf8"),
      readFile(`${at}/limits`, "utf8"),
      readdir(`${at}/fd`),
    ]);
    const cpuMs = cpuOf(pid);
    return {
      resident_memory_bytes: residentOf(status),
      open_fds: open.length,
      max_fds: maxFilesOf(limits),
      cpu_seconds: cpuMs === undefined ? null : cpuMs / 1000,
    };
  } catch {
    return NOTHING;
  }
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
