// The sandbox's model in its own process, as fast as the wire permits, so that its cost is not counted as the server's.
import { startModelSandbox } from "../../server/sandbox/src/model/server.ts";
import { serve } from "./serve.ts";

const { port } = await startModelSandbox({ tokensPerSecond: Number.POSITIVE_INFINITY });
serve(port);
