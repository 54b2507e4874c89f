// Owns nothing but the command that prints `.env.example`.
import { exampleFile } from "./table.ts";

process.stdout.write(exampleFile());
