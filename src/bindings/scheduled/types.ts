/** What a version is sent for a cron trigger. It is defined in versions/, since events/ sends it. */
export type { ScheduledRun } from "../../versions/names.ts";
