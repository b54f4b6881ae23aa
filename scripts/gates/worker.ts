/** Does the tasks of `npm run gates` that the main thread posts. */
import { parentPort } from "node:worker_threads";
import { endingsOf, type Task } from "./run.ts";

parentPort?.on("message", (task: Task) => parentPort?.postMessage(endingsOf(task)));
