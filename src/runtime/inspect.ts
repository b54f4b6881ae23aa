/** Starts an upload in anonymous isolates, and says what it exports or why it does not start. */
import { type BlobHeader, decodeBlob, type VersionBlob } from "../versions/blob.ts";
import { WRAPPER_MODULE } from "../versions/names.ts";
import type { Inspection, InspectionOutcome, NamedHandler } from "../versions/types.ts";
import { inspectingCode, READY_ENTRYPOINT, READY_URL, servingCode } from "./code.ts";

type Found = Omit<Inspection, "startup_time_ms">;

/**
 * Asks the upload what it exports, then starts it as it will serve: the runtime checks the exports of a main module only,
 * and so refuses some that importing them would not. Whoever calls this bounds its time: code that never finishes
 * starting blocks the thread it runs on.
 */
export async function inspect(loader: WorkerLoader, stored: ArrayBuffer): Promise<InspectionOutcome> {
  const { header, modules } = decodeBlob(stored);
  try {
    const inspecting = loader.load(inspectingCode({ header, modules })).getEntrypoint();
    const inspection = await (await inspecting.fetch(READY_URL)).json<Found>();
    const { has_default } = inspection;
    const classes = exportedClasses(header, inspection);
    const blob: VersionBlob = { header: { ...header, has_default, classes }, modules };
    await loader
      .load(servingCode(blob, () => undefined))
      .getEntrypoint(READY_ENTRYPOINT)
      .fetch(READY_URL);
    return { ok: true, inspection };
  } catch (error) {
    return { ok: false, message: startupMessage(error, header.main_module) };
  }
}

/** The classes of the header that the module has: those that it lacks are for the caller to name. */
function exportedClasses({ classes = {} }: BlobHeader, { named_handlers }: Found): Record<string, string> {
  const missing = missingClasses(Object.keys(classes), named_handlers);
  return Object.fromEntries(Object.entries(classes).filter(([name]) => !missing.includes(name)));
}

/** Which of these classes a module does not export. */
export function missingClasses(classes: readonly string[], exported: readonly NamedHandler[]): string[] {
  const found = exported.filter(({ handlers }) => handlers.includes("class")).map(({ name }) => name);
  return classes.filter((name) => !found.includes(name));
}

/** workerd's message as Cloudflare words it: without the prefix, and with the paths of the upload. */
function startupMessage(error: unknown, mainModule: string): string {
  const message = error instanceof Error ? error.message : String(error);
  return message
    .replace(/^Failed to start Worker:\s*/, "")
    .replaceAll("file:///bundle/", "")
    .replaceAll(WRAPPER_MODULE, mainModule);
}
