/** Script of every page: live updates, the preview of a split, and a guard against sending a form twice. */
import { shortId } from "../../lib/ids.ts";
import { describeMoves, movesBetween, type Part } from "../moves.ts";

/** The server sends an event every second. After this many ms of silence, the page reports the connection as lost. */
const SILENCE_MS = 4_000;

interface Update {
  readonly parts: Readonly<Record<string, string>>;
  readonly charts?: unknown;
}

const connection = document.getElementById("connection");

function say(text: string | undefined): void {
  if (connection === null) return;
  connection.hidden = text === undefined;
  connection.textContent = text ?? "";
}

function follow(address: string): void {
  let heardAt = Date.now();
  let source = connect();

  function connect(): EventSource {
    const opened = new EventSource(address);
    opened.onmessage = ({ data }) => {
      heardAt = Date.now();
      say(undefined);
      apply(JSON.parse(data));
    };
    opened.addEventListener("signed-out", () => {
      opened.close();
      location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
    });
    opened.addEventListener("gone", ({ data }) => {
      opened.close();
      clearInterval(watch);
      say(`This page no longer updates: ${data}`);
    });
    return opened;
  }

  const watch = setInterval(() => {
    if (Date.now() - heardAt < SILENCE_MS) return;
    say(`Connection lost. Showing data from ${timeOf(heardAt)} UTC. Reconnecting…`);
    // After an error response, a browser stops reconnecting by itself.
    if (source.readyState === EventSource.CLOSED) source = connect();
  }, 1_000);
}

/** @param ms since the epoch @returns hours, minutes and seconds in UTC, as everywhere on the pages */
function timeOf(ms: number): string {
  return new Date(ms).toISOString().slice(11, 19);
}

function apply({ parts, charts }: Update): void {
  for (const [id, html] of Object.entries(parts)) {
    const element = document.getElementById(id);
    if (element === null || element.innerHTML === html) continue;
    const focused = element.contains(document.activeElement) ? indexOfFocus(element) : -1;
    element.innerHTML = html;
    if (focused >= 0) focusables(element)[focused]?.focus();
  }
  if (charts !== undefined) document.dispatchEvent(new CustomEvent("sluice:charts", { detail: charts }));
}

const focusables = (element: Element) => [
  ...element.querySelectorAll<HTMLElement>("a[href], button, input, [tabindex]"),
];

const indexOfFocus = (element: Element) => focusables(element).indexOf(document.activeElement as HTMLElement);

function previewSplit(form: HTMLFormElement): void {
  const field = (name: string) => form.elements.namedItem(name) as HTMLInputElement & HTMLSelectElement;
  const slider = form.querySelector<HTMLInputElement>("#slider");
  const moves = form.querySelector<HTMLOutputElement>("#moves");
  const active = JSON.parse(form.dataset.active ?? "[]") as Part[];
  const [stable, candidate, percentage] = [field("stable"), field("candidate"), field("percentage")];
  const names = new Map(
    [...stable.options].map(({ value, text }) => [value, text.split(" ").slice(0, 2).join(" ")]),
  );
  const partOf = (select: HTMLSelectElement, share: number): Part => ({
    version_id: select.value,
    number: Number(select.selectedOptions[0]?.dataset.number),
    percentage: share,
  });
  const show = () => {
    if (moves === null) return;
    const share = percentage.valueAsNumber;
    if (!(share >= 0 && share <= 100)) {
      moves.textContent = "Enter a share from 0 to 100.";
      return;
    }
    const isOne = stable.value === candidate.value;
    const after = isOne ? [partOf(candidate, 100)] : [partOf(stable, 100 - share), partOf(candidate, share)];
    moves.textContent = describeMoves(movesBetween(active, after), (id) => names.get(id) ?? shortId(id)).join(
      " ",
    );
  };
  slider?.addEventListener("input", () => {
    percentage.value = slider.value;
    show();
  });
  percentage.addEventListener("input", () => {
    if (slider !== null) slider.value = percentage.value;
    show();
  });
  for (const select of [stable, candidate]) select.addEventListener("change", show);
  show();
}

const live = document.body.dataset.live;
if (live !== undefined) follow(live);

const splitForm = document.querySelector<HTMLFormElement>("#split-form");
if (splitForm !== null) previewSplit(splitForm);

document.addEventListener("submit", ({ target }) => {
  const form = target as HTMLFormElement;
  // Later, because a disabled button's value is not sent.
  if (form.method === "post") setTimeout(() => form.classList.add("sent"));
});
// The back button shows the page as it was left, with its forms locked.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll(".sent")) form.classList.remove("sent");
});
