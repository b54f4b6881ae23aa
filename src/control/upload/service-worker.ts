/** Turns an upload in service-worker syntax into modules. src/bindings/service-worker/client.ts runs them. */
import { utf8 } from "../../lib/bytes.ts";
import type { SluiceError } from "../../lib/errors.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { CLIENT_MODULE, SERVICE_WORKER_MODULE } from "../../versions/names.ts";
import type { Module, ModuleType } from "../../versions/types.ts";

/** Bindings to a part of the upload, and the module type under which that part is stored. */
const PART_TYPES: ReadonlyMap<string, ModuleType> = new Map(
  Object.entries({ wasm_module: "wasm", text_blob: "text", data_blob: "data" } as const),
);

interface PartBinding {
  readonly type: string;
  readonly name: string;
  readonly part?: unknown;
}

/** Whether a binding is of a type that only service-worker syntax has. */
export function isPartBinding({ type }: { readonly type: string }): boolean {
  return PART_TYPES.has(type);
}

/**
 * The script and its parts as modules, and two more that start them.
 *
 * @param script name of the part with the script
 */
export function toModules(
  script: string,
  parts: readonly PartBinding[],
  modules: readonly Module[],
): Result<readonly Module[], SluiceError> {
  const refuse = (detail: string) => err({ reason: "upload-invalid", detail } as const);
  const typed = new Map(modules.map((module) => [module.name, module]));
  const main = typed.get(script);
  if (main === undefined)
    return refuse(`metadata names the script "${script}", which is not among the parts`);
  // The runtime evaluates CommonJS outside strict mode, as service-worker scripts need it.
  typed.set(script, { ...main, type: "cjs" });
  const imports: string[] = [];
  for (const [i, { type, name, part }] of parts.entries()) {
    const module = typeof part === "string" ? typed.get(part) : undefined;
    if (module === undefined)
      return refuse(`the binding "${name}" names the part "${part}", which is not among the parts`);
    typed.set(module.name, { ...module, type: PART_TYPES.get(type) as ModuleType });
    imports.push(`import part${i} from ${JSON.stringify(`./${module.name}`)};`);
  }
  const values = parts.map(({ name }, i) => `[${JSON.stringify(name)}]: part${i}`);
  // Imports are evaluated first, so the globals are set in a module that is imported before the script.
  const globals = `${imports.join("\n")}
import { prepareScript } from "./${CLIENT_MODULE}";
prepareScript({ ${values.join(", ")} });`;
  const start = `import "./${SERVICE_WORKER_MODULE}.globals.js";
import ${JSON.stringify(`./${script}`)};
import { scriptHandlers } from "./${CLIENT_MODULE}";
export default scriptHandlers();`;
  const js = (name: string, text: string): Module => ({
    name,
    type: "js",
    bytes: utf8(text),
  });
  return ok([
    ...typed.values(),
    js(`${SERVICE_WORKER_MODULE}.globals.js`, globals),
    js(SERVICE_WORKER_MODULE, start),
  ]);
}
