/** (d) Sluice's router, versions in its own bundle. */
import { modules } from "./routers.ts";

export default modules(true);
