/** The form that changes the active split, with the preview of who moves. */
import type { Share } from "../../versions/types.ts";
import type { PageContext } from "../context.ts";
import { Csrf, workerPath } from "../layout.tsx";
import { describeMoves, movesBetween } from "../moves.ts";
import type { VersionView } from "../types.ts";
import { nameOf, numbersOf, optionText, type PagedDeployment } from "../worker.ts";

/** The form's values, which a refusal shows again. */
export interface SplitInput {
  readonly stable: string;
  readonly candidate: string;
  readonly percentage: number;
  readonly message: string;
}

/**
 * The form's first values: the active split, or the newest version at 0% beside the one that has all traffic.
 *
 * @param asked a version to offer at 0% instead
 */
export function suggest(
  shares: readonly Share[],
  versions: readonly VersionView[],
  asked: string | undefined,
): SplitInput {
  const sorted = [...shares].sort((x, y) => y.number - x.number);
  const [newest, other] = sorted;
  if (asked !== undefined) {
    const stable = sorted.find(({ version_id }) => version_id !== asked);
    return { stable: stable?.version_id ?? "", candidate: asked, percentage: 0, message: "" };
  }
  if (newest !== undefined && other !== undefined) {
    const { version_id: candidate, percentage } = newest;
    return { stable: other.version_id, candidate, percentage, message: "" };
  }
  const stable = newest?.version_id ?? "";
  const candidate = versions.find(({ id }) => id !== stable)?.id ?? stable;
  return { stable, candidate, percentage: 0, message: "" };
}

export function SplitForm({
  c,
  worker,
  active,
  versions,
  isRolloutRunning,
  input,
}: {
  c: PageContext;
  worker: string;
  active: PagedDeployment;
  versions: readonly VersionView[];
  isRolloutRunning: boolean;
  input: SplitInput;
}) {
  const options = (chosen: string) =>
    versions.map((version) => (
      <option value={version.id} data-number={version.number} selected={version.id === chosen}>
        {optionText(version)}
      </option>
    ));
  const numbers = numbersOf(versions);
  const candidate = [...active.versions].sort((x, y) => y.number - x.number)[0];
  const stable = active.versions.find((share) => share !== candidate);
  const after = partsOf(input, numbers);
  return (
    <section aria-labelledby="change-title" id="change">
      <h2 id="change-title">Change the split</h2>
      {isRolloutRunning ? (
        <p class="alert">A rollout is in progress. Changing the split here ends it.</p>
      ) : null}
      <form
        class="card"
        id="split-form"
        method="post"
        action={workerPath(worker, "/split")}
        data-active={JSON.stringify(active.versions)}
      >
        <Csrf user={c.var.user} />
        <input type="hidden" name="base" value={active.id} />
        <div class="fields">
          <label>
            Stable version, gets the rest
            <select name="stable">{options(input.stable)}</select>
          </label>
          <label>
            Candidate
            <select name="candidate">{options(input.candidate)}</select>
          </label>
          <label>
            Candidate's share, %
            <input
              name="percentage"
              type="number"
              min="0"
              max="100"
              step="any"
              value={input.percentage}
              required={true}
            />
          </label>
          <label class="grow">
            Candidate's share as a slider
            <input id="slider" type="range" min="0" max="100" step="1" value={input.percentage} />
          </label>
        </div>
        <output id="moves" for="split-form">
          {describeMoves(movesBetween(active.versions, after), (id) => nameOf(id, numbers)).join(" ")}
        </output>
        <label>
          Message{" "}
          <input name="message" type="text" maxlength={1000} value={input.message} placeholder="Why?" />
        </label>
        <button type="submit">Change the split</button>
      </form>
      <div class="actions">
        {stable !== undefined && candidate !== undefined ? (
          <>
            <form method="post" action={workerPath(worker, "/promote")}>
              <Csrf user={c.var.user} />
              <input type="hidden" name="base" value={active.id} />
              <input type="hidden" name="version" value={candidate.version_id} />
              <button type="submit">Promote #{candidate.number} to 100%</button>
            </form>
            <a class="button danger" href={workerPath(worker, `/rollback?to=${stable.version_id}`)}>
              Roll back to #{stable.number}…
            </a>
          </>
        ) : null}
        <a class="button quiet" href={workerPath(worker, "/rollouts#start")}>
          Start a rollout…
        </a>
      </div>
    </section>
  );
}

/** The split that the form describes. */
export function partsOf({ stable, candidate, percentage }: SplitInput, numbers: ReadonlyMap<string, number>) {
  const part = (version_id: string, share: number) => ({
    version_id,
    number: numbers.get(version_id) ?? 0,
    percentage: share,
  });
  if (stable === candidate) return [part(candidate, 100)];
  return [part(stable, 100 - percentage), part(candidate, percentage)];
}
