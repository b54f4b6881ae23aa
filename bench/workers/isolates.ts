/** (c) Sluice's router, versions in isolates of their own. */
import { isolates } from "./routers.ts";

export default isolates(true);
