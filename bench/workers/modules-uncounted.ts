/** The same as (d) with nobody who counts. */
import { modules } from "./routers.ts";

export default modules(false);
