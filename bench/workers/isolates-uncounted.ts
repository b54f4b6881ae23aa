/** The same as (c) with nobody who counts. */
import { isolates } from "./routers.ts";

export default isolates(false);
