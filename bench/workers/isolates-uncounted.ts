/** `isolates` without counting. */
import { isolates } from "./routers.ts";

export default isolates(false);
