/** An incident: an end of one of the server's processes that nobody asked for. Pure. */

/** Why a process ended. */
export const CAUSES = [
  /** It was silent for too long while it used the processor, and was ended. */
  "hang",
  /** It used more memory than it may, and was ended. */
  "memory",
  /** It ended by itself, or another program ended it. */
  "ended",
] as const;
export type Cause = (typeof CAUSES)[number];

/** A version, with its Worker's name. */
export interface VersionOfWorker {
  readonly worker: string;
  readonly version: string;
}

/** What was seen, by name: `silent_ms`, `busy_ms`, `mib`, `limit_mib`, `code`, `signal`. */
export type Findings = Readonly<Record<string, string | number | null>>;

export interface Incident {
  /** Given by the supervisor: an incident that it reports twice is one. */
  readonly id: string;
  readonly process: string;
  readonly cause: Cause;
  /** ISO 8601 in UTC. */
  readonly at: string;
  readonly evidence: Findings;
  /** Versions with work under way in the process, as far as that is known. */
  readonly versions: readonly VersionOfWorker[];
  /** The version that is to blame; null while that is not certain. */
  readonly culprit: VersionOfWorker | null;
}

/** What is known of an incident when it happens. */
export type Found = Omit<Incident, "id" | "at">;

/** The versions that an incident names, the culprit first, each once. */
export function versionsNamed({ versions, culprit }: Incident): VersionOfWorker[] {
  const named = culprit === null ? versions : [culprit, ...versions];
  return [...new Map(named.map((each) => [each.version, each])).values()];
}

/** The one version that an incident points to: the culprit, or the only one that ran. */
export function suspectOf(incident: Incident): VersionOfWorker | undefined {
  const [only, ...others] = versionsNamed(incident);
  return incident.culprit ?? (others.length === 0 ? only : undefined);
}

/** An incident in one or two sentences. */
export function incidentText(incident: Incident): string {
  return `${whatHappened(incident)} ${whoRan(incident)}`.trim();
}

function whatHappened({ process, cause, evidence }: Incident): string {
  switch (cause) {
    case "hang": {
      const { silent_ms } = evidence;
      const silent = typeof silent_ms === "number" ? ` for ${(silent_ms / 1000).toFixed(1)} s` : "";
      return `Process ${process} did not answer${silent}. It was ended and started again.`;
    }
    case "memory": {
      const { mib, limit_mib } = evidence;
      return `Process ${process} used ${mib ?? "?"} MiB of memory; it may use ${limit_mib ?? "?"}. It was ended and started again.`;
    }
    case "ended": {
      const how = evidence.signal ?? (evidence.code === undefined ? null : `exit code ${evidence.code}`);
      return `Process ${process} ended by itself${how === null ? "" : ` (${how})`}. It was started again.`;
    }
  }
}

/** Versions that a text names. The incident itself has all of them. */
const SHOWN = 3;

function whoRan(incident: Incident): string {
  const name = ({ worker, version }: VersionOfWorker) => `version ${version} of ${worker}`;
  if (incident.culprit !== null) return `The cause is ${name(incident.culprit)}.`;
  const { versions } = incident;
  if (versions.length === 0) return "";
  const more = versions.length > SHOWN ? ` and ${versions.length - SHOWN} more` : "";
  return `Under way: ${versions.slice(0, SHOWN).map(name).join(", ")}${more}.`;
}
