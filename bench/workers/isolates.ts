/** `isolates`: Sluice's router, with versions in isolates. */
import { isolates } from "./routers.ts";

export default isolates(true);
