// The sandbox's stand-in model in a process of its own, as fast as the wire carries it: its cost is not the server's.
import { startModelSandbox } from "../../server/sandbox/src/model/server.ts";
import { serve } from "./serve.ts";

const { port } = await startModelSandbox({ tokensPerSecond: Number.POSITIVE_INFINITY });
serve(port);
