/** Uploads as tests make them. */
import { readUpload } from "../../src/control/upload/index.ts";

export const ESM = "application/javascript+module";
export const GOOD = "export default {};";
export const METADATA = { main_module: "index.js", compatibility_date: "2026-11-17" };

export interface Part {
  readonly name: string;
  readonly type?: string;
  readonly content?: string | Uint8Array<ArrayBuffer>;
}

export const MAIN: Part = { name: "index.js" };

/** The upload with these parts; a text is sent as metadata as it is. */
export function formOf(metadata: unknown, parts: readonly Part[] = [MAIN]): FormData {
  const form = new FormData();
  form.set("metadata", typeof metadata === "string" ? metadata : JSON.stringify(metadata));
  for (const { name, type = ESM, content = GOOD } of parts) {
    form.append(name, new File([content], name, { type }));
  }
  return form;
}

export const send = (body: BodyInit) => readUpload(new Request("http://sluice/", { method: "PUT", body }));
