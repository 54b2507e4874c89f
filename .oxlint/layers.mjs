// The layer rules: who may import what, each with the sentence a person gets who forgets it.
// Data flows one way: router -> service -> port <- store/adapter (docs/architecture.md, docs/decisions).

/**
 * @typedef {object} Layer
 * @property {string} name what the rule is called in a message
 * @property {RegExp} files the importing files it binds, as paths from the project's root
 * @property {RegExp} [except] files among those it lets go
 * @property {RegExp} mayNotImport imported paths from the root, or package names
 * @property {RegExp} [unless] imports among those it lets go
 * @property {boolean} [valuesOnly] `import type` is allowed: it is gone when the program runs
 * @property {boolean} [staticOnly] `import()` is allowed
 * @property {string} why
 */

const FEATURES = "server/(auth|user|credit|payment|workers|admin|ai)";
const PRISMA = "prisma/generated/|@prisma/";
const DRIVERS = "mariadb|ioredis|libsql";

/** @type {readonly Layer[]} */
export const LAYERS = [
  {
    name: "router",
    files: /^server\/routers\//,
    mayNotImport: new RegExp(
      `^server/(?!trpc/|routers/|lib/)(?!.*\\.(service|types)\\.ts$)|^(express|stripe|arctic|jose|${DRIVERS})$|^(${PRISMA})`,
    ),
    why: "A router names input, output and one service call; whatever else it touches, a service should do, where it can be tested without tRPC.",
  },
  {
    name: "service",
    files: new RegExp(`^${FEATURES}/`),
    except: /\.store\.ts$/,
    mayNotImport: new RegExp(
      `^@trpc/|^server/(http|adapters|cli)/|^(express|stripe|arctic|${DRIVERS})$|^(${PRISMA})|\\.store\\.ts$|^server/routers/`,
    ),
    why: "A service declares the ports it needs and knows neither tRPC, Express, Prisma nor a vendor's SDK: that is what lets it run on any back end and under test without them.",
  },
  {
    name: "service and tRPC",
    files: new RegExp(`^${FEATURES}/`),
    mayNotImport: /^server\/(trpc|routers)\//,
    why: "Features do not know who calls them: tRPC, REST, a job and a webhook call the same service.",
  },
  {
    name: "store",
    files: /^server\/.*\.store\.ts$/,
    mayNotImport:
      /^@trpc\/|^server\/(trpc|http|adapters|cli|jobs|routers)\/|^(express|stripe|arctic)$/,
    why: "A store implements a port over the database and returns domain shapes; it calls nobody.",
  },
  {
    name: "arctic",
    files: /^server\//,
    except: /^server\/adapters\/google\//,
    mayNotImport: /^arctic$/,
    why: "arctic is archived upstream, so it stays behind adapters/google/, where one file replaces it.",
  },
  {
    name: "stripe",
    files: /^(server|shared|prisma)\//,
    except: /^server\/(adapters\/stripe|sandbox\/test)\//,
    mayNotImport: /^stripe(\/|$)/,
    why: "Only adapters/stripe/ knows Stripe's SDK: there every call gets its timeout, its idempotency key and a check of its answer.",
  },
  {
    name: "express",
    files: /^(server|shared)\//,
    except: /^server\/(http\/|sandbox\/|app\.ts$)/,
    mayNotImport: /^(express|cors|helmet)$/,
    why: "Express hosts what cannot be tRPC and lives in server/http; context and procedures take plain values, so tests need no HTTP.",
  },
  {
    name: "generated clients",
    files: /^(server|shared)\//,
    except: /^server\/database\/|\.store\.ts$/,
    mayNotImport: new RegExp(`^(${PRISMA})`),
    why: "Only server/database and the stores see Prisma: everyone else sees a port, the same on MySQL and SQLite.",
  },
  {
    name: "drivers",
    files: /^(server|shared)\//,
    except: /^server\/(database|kv)\//,
    mayNotImport: new RegExp(`^(${DRIVERS})$`),
    why: "openBackend is the only place that knows which database and which key-value store is there.",
  },
  {
    name: "OpenTelemetry",
    files: /^(server|shared)\//,
    except: /^server\/telemetry\/otel\.ts$/,
    mayNotImport: /^@opentelemetry\/|^server\/telemetry\/otel\.ts$/,
    valuesOnly: true,
    staticOnly: true,
    why: "Everybody sees lib/tracer.ts; the SDK stands behind otel.ts, which main.ts imports with import(), and only where a collector is named.",
  },
  {
    name: "ledger",
    files: /^server\/ledger\//,
    mayNotImport: /^server\//,
    unless: /^server\/(ledger\/.*|lib\/.*|database\/[^/]*\.ts|kv\/ports\.ts)$/,
    why: "The ledger is the heart: the farther from it may import the nearer, never the reverse, so credits can be reasoned about alone.",
  },
  {
    name: "ledger rules",
    files: /^server\/ledger\/(operations|model)\//,
    mayNotImport: /^server\//,
    unless: /^server\/(ledger\/(operations|model)\/.*|ledger\/(ports|idempotency)\.ts|lib\/.*)$/,
    why: "The rules are pure: an account and an operation in, a new account and rows out. No database, no clock, no queue.",
  },
  {
    name: "ledger store",
    files: /^server\/ledger\/store\//,
    mayNotImport: /^server\/ledger\//,
    unless: /^server\/ledger\/(store\/.*|model\/.*|ports\.ts)$/,
    why: "The store reads and writes the model's shapes; it knows neither the writer nor what the operations decide.",
  },
  {
    name: "database",
    files: /^server\/database\//,
    mayNotImport: /^server\//,
    unless: /^server\/(database\/.*|config\/.*|lib\/.*)$/,
    why: "The database serves the features and knows none of them, nor the key-value side.",
  },
  {
    name: "key-value side",
    files: /^server\/kv\//,
    mayNotImport: /^server\//,
    unless: /^server\/(kv\/.*|config\/.*|lib\/.*)$/,
    why: "The key-value side serves the features and knows none of them, nor the database.",
  },
  {
    name: "ports",
    files: /^server\/.*(^|\/|\.)(ports|types)\.ts$/,
    mayNotImport: /./,
    valuesOnly: true,
    why: "Types and ports are shapes: they import only types, so that anything may import them without a circle.",
  },
  {
    name: "lib",
    files: /^server\/lib\//,
    mayNotImport: /^server\//,
    unless: /^server\/lib\//,
    why: "lib is small, general and without state: everything may import it, so it imports nothing of the server.",
  },
  {
    name: "adapter",
    files: /^server\/adapters\//,
    mayNotImport: new RegExp(
      `^server/(trpc|http|jobs|cli|ledger|sandbox|routers)/|^@trpc/|^express$|^(${PRISMA})|\\.store\\.ts$`,
    ),
    why: "An adapter speaks to one vendor and answers in domain shapes; deciding what follows is a service's work.",
  },
  {
    name: "tRPC core",
    files: /^server\/trpc\//,
    mayNotImport: new RegExp(
      `^server/(http|adapters|jobs|cli|sandbox|routers)/|^(express|stripe|arctic|${DRIVERS}|node:http)$|^(${PRISMA})|\\.store\\.ts$`,
    ),
    why: "The context holds plain values and services: no Express, no vendor types, so a procedure can be called without HTTP.",
  },
  {
    name: "jobs",
    files: /^server\/jobs\//,
    mayNotImport: /^server\/(http|trpc|cli|routers)\/|^(express|stripe|arctic)$/,
    why: "A job is one more caller of the services, beside tRPC and HTTP, not on top of them.",
  },
  {
    name: "sandbox in production",
    files: /^(server|shared|prisma)\//,
    except: /^server\/(sandbox\/|cli\/(dev\/|commands\/sandbox))/,
    mayNotImport: /^server\/sandbox\/|^oidc-provider$/,
    valuesOnly: true,
    staticOnly: true,
    why: "Production never loads the sandbox: main.ts imports it with import(), in development alone.",
  },
  {
    name: "sandbox",
    files: /^server\/sandbox\/src\//,
    mayNotImport: /^server\/|^stripe(\/|$)/,
    unless: /^server\/sandbox\/src\//,
    why: "The sandbox stands in for Google and Stripe at the wire; sharing code with the server would let both be wrong together.",
  },
  {
    name: "shared",
    files: /^shared\/src\//,
    mayNotImport: /./,
    unless: /^(shared\/src\/.*|zod|@trpc\/(server|client)(\/.*)?)$/,
    why: "shared is installed by frontends: zod and @trpc/* are all it may need, and nothing of the server may leak into it.",
  },
  {
    name: "server's surroundings",
    files: /^(server|prisma)\//,
    except: /^server\/sandbox\/test\//,
    mayNotImport: /^(tests|examples|tools)\/|^@skywork\/shared$|^vitest/,
    why: "The server stands alone: tests and examples depend on it, and it reads shared/src by relative path (docs/decisions/0003).",
  },
  {
    name: "frontend",
    files: /^examples\//,
    except: /^examples\/demo\//,
    mayNotImport: /^(server|prisma|tests|tools|shared)\//,
    why: "The reference frontend uses what any consumer can: @skywork/shared and HTTP.",
  },
  {
    name: "demo",
    files: /^examples\/demo\//,
    mayNotImport: /^(server|prisma|tests|tools)\/|^@prisma\//,
    unless: /^server\/(cli\/dev\/embedded\.ts$|sandbox\/src\/)/,
    why: "The demo starts a server inside its own process by the development entry, and from there on uses what any client can.",
  },
  {
    name: "composition root",
    files: /^server\//,
    except: /^server\/(main\.ts|cli\/.*)$/,
    mayNotImport: /^server\/(main|app)\.ts$/,
    valuesOnly: true,
    why: "Only main.ts and the commands put the program together; a part that imports the whole cannot be used without it.",
  },
  {
    name: "environment",
    files: /^(server|shared)\//,
    except: /^server\/(main\.ts|cli\/.*)$/,
    mayNotImport: /^(node:)?process$/,
    why: "The environment is read once, in main.ts and the commands, and handed on as a frozen Config.",
  },
];

/**
 * The path from the root that `specifier` means in `file`, or the package's name as written.
 * @param {string} file path from the root, with forward slashes
 * @param {string} specifier as written in the import
 */
export function resolveImport(file, specifier) {
  if (!specifier.startsWith(".")) return specifier;
  return new URL(specifier, `file:///${file}`).pathname.slice(1);
}

/**
 * The first rule an import breaks, or undefined.
 * @param {string} file path from the root, with forward slashes
 * @param {string} specifier as written in the import
 * @param {{ typeOnly: boolean, dynamic: boolean }} how
 * @returns {Layer | undefined}
 */
export function brokenLayer(file, specifier, how) {
  const imported = resolveImport(file, specifier);
  return LAYERS.find(
    (layer) =>
      layer.files.test(file) &&
      !layer.except?.test(file) &&
      layer.mayNotImport.test(imported) &&
      !layer.unless?.test(imported) &&
      !(layer.valuesOnly && how.typeOnly) &&
      !(layer.staticOnly && how.dynamic),
  );
}
