/** Starts an upload in anonymous isolates, and reports its exports or why it does not start. */
import { type BlobHeader, decodeBlob, type VersionBlob } from "../versions/blob.ts";
import { WRAPPER_MODULE } from "../versions/names.ts";
import type { Inspection, InspectionOutcome, NamedHandler } from "../versions/types.ts";
import { inspectingCode, READY_ENTRYPOINT, READY_URL, servingCode } from "./code.ts";
import type { OpenChannel } from "./version-env.ts";

type Found = Omit<Inspection, "startup_time_ms">;

/**
 * Lists the exports of the upload, then starts it in the form in which it will serve: the runtime checks the exports of a
 * main module only. It finds bindings, as it will when it serves, but they do nothing. The caller must bound the time: code that never finishes starting blocks its thread.
 */
export async function inspect(
  loader: WorkerLoader,
  stored: ArrayBuffer,
  open: OpenChannel,
): Promise<InspectionOutcome> {
  const { header, modules } = decodeBlob(stored);
  try {
    const inspecting = loader.load(inspectingCode({ header, modules }, open)).getEntrypoint();
    const inspection = await (await inspecting.fetch(READY_URL)).json<Found>();
    const { has_default } = inspection;
    const classes = exportedClasses(header, inspection);
    const blob: VersionBlob = { header: { ...header, has_default, classes }, modules };
    await loader
      .load({ ...servingCode(blob, open), globalOutbound: null })
      .getEntrypoint(READY_ENTRYPOINT)
      .fetch(READY_URL);
    return { ok: true, inspection };
  } catch (error) {
    return { ok: false, message: startupMessage(error, header.main_module) };
  }
}

/** The classes of the header that the module exports. The caller reports the missing ones. */
function exportedClasses({ classes = {} }: BlobHeader, { named_handlers }: Found): Record<string, string> {
  const missing = missingClasses(Object.keys(classes), named_handlers);
  return Object.fromEntries(Object.entries(classes).filter(([name]) => !missing.includes(name)));
}

/** The classes that a module does not export. */
export function missingClasses(classes: readonly string[], exported: readonly NamedHandler[]): string[] {
  const found = exported.filter(({ handlers }) => handlers.includes("class")).map(({ name }) => name);
  return classes.filter((name) => !found.includes(name));
}

/** workerd's message in Cloudflare's form: without the prefix, and with the paths of the upload. */
function startupMessage(error: unknown, mainModule: string): string {
  const message = error instanceof Error ? error.message : String(error);
  return message
    .replace(/^Failed to start Worker:\s*/, "")
    .replaceAll("file:///bundle/", "")
    .replaceAll(WRAPPER_MODULE, mainModule);
}
