/** A version's code and configuration, as pages show and compare them. */
import { structuredPatch } from "diff";
import { decodeBase64 } from "hono/utils/encode";
import { LIMITS } from "../lib/limits.ts";
import type { BindingView, ModuleView, VersionView, VersionWithCode } from "./types.ts";

const TEXT = /^(?:application\/(?:javascript|json|source-map)|text\/)/;

interface Source {
  readonly name: string;
  readonly size: number;
  /** Undefined if the module is not text, or is too long to show. */
  readonly text: string | undefined;
}

export function sourceOf({ name, content_type, content_base64 }: ModuleView): Source {
  const bytes = decodeBase64(content_base64);
  const isShown = TEXT.test(content_type) && bytes.byteLength <= LIMITS.dashboard.maxShownBytes;
  return { name, size: bytes.byteLength, text: isShown ? new TextDecoder().decode(bytes) : undefined };
}

type DiffLine = { readonly kind: "same" | "added" | "removed" | "hunk"; readonly text: string };

interface FileDiff {
  readonly name: string;
  readonly lines: readonly DiffLine[];
  /** Shown in place of the lines if they cannot be compared. */
  readonly note?: string;
}

/** The differences between two texts; no lines if they are equal. */
function diffOf(name: string, before: string, after: string): FileDiff {
  if (before === after) return { name, lines: [] };
  const patch = structuredPatch(name, name, before, after, "", "", {
    context: 3,
    timeout: LIMITS.dashboard.diffMs,
  });
  if (patch === undefined)
    return { name, lines: [], note: "Differs. The comparison takes too long to show here." };
  return {
    name,
    lines: patch.hunks.flatMap(({ oldStart, newStart, lines }): DiffLine[] => [
      { kind: "hunk", text: `@@ ${oldStart} → ${newStart} @@` },
      ...lines.map((line): DiffLine => ({ kind: KINDS[line[0] ?? " "] ?? "same", text: line.slice(1) })),
    ]),
  };
}

const KINDS: Readonly<Record<string, DiffLine["kind"]>> = { "+": "added", "-": "removed" };

/** The modules that differ, and the configuration if it does. */
export function diffVersions(before: VersionWithCode, after: VersionWithCode): readonly FileDiff[] {
  const [old, now] = [before, after].map(
    ({ modules }) => new Map(modules.map((module) => [module.name, module])),
  );
  const names = [...new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])])].sort();
  const files = names.map((name): FileDiff => {
    const [a, b] = [old?.get(name), now?.get(name)];
    if (a?.content_base64 === b?.content_base64) return { name, lines: [] };
    const [left, right] = [a && sourceOf(a), b && sourceOf(b)];
    if (
      (left !== undefined && left.text === undefined) ||
      (right !== undefined && right.text === undefined)
    ) {
      return {
        name,
        lines: [],
        note: `Differs: ${left?.size ?? 0} bytes before, ${right?.size ?? 0} bytes after.`,
      };
    }
    return diffOf(name, left?.text ?? "", right?.text ?? "");
  });
  return [diffOf("Configuration", configurationOf(before), configurationOf(after)), ...files].filter(
    ({ lines, note }) => lines.length > 0 || note !== undefined,
  );
}

/** One line for each binding and setting. */
function configurationOf({ resources: { bindings, script_runtime } }: VersionView): string {
  return [
    `compatibility_date ${script_runtime.compatibility_date}`,
    ...script_runtime.compatibility_flags.map((flag) => `compatibility_flag ${flag}`),
    ...bindings.map(bindingText).sort(),
    "",
  ].join("\n");
}

/** A binding on one line. The API never sends a secret's value. */
export function bindingText({ name, type, ...rest }: BindingView): string {
  const values = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return [name, type, ...values].join("  ");
}
