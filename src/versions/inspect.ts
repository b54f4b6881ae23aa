/** Starts an upload once, in an anonymous isolate, and says what it exports or why it does not start. */
import { inspectingCode } from "./code.ts";
import { decodeBlob } from "./blob.ts";
import type { InspectionOutcome } from "./types.ts";

/** Whoever calls this bounds its time: code that never finishes starting blocks the thread it runs on. */
export async function inspect(loader: WorkerLoader, blob: ArrayBuffer): Promise<InspectionOutcome> {
  try {
    const entrypoint = loader.load(inspectingCode(decodeBlob(blob))).getEntrypoint();
    const response = await entrypoint.fetch("http://version/");
    return { ok: true, inspection: await response.json() };
  } catch (error) {
    return { ok: false, message: startupMessage(error) };
  }
}

/** workerd's message as Cloudflare words it: without the prefix, and with the paths of the upload. */
function startupMessage(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^Failed to start Worker:\s*/, "").replaceAll("file:///bundle/", "");
}
