// Lints what ships but cannot run in CI: the image, compose, the systemd unit and the Kubernetes manifests.
// The linters are installed into a folder of their own, so that a clone's `npm install` stays small.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const LINTERS = ["dockerfile-utils@0.16.3", "kubernetes-models@5.1.0", "yaml@2.9.1"];
const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "skywork-linters-"));
const packages = join(folder, "node_modules");
const manifestFolder = join(root, "examples/deploy/kubernetes");
const tally = { passed: 0, failed: 0 };

function check(what, problems) {
  tally[problems.length === 0 ? "passed" : "failed"] += 1;
  console.log(`${problems.length === 0 ? "ok  " : "FAIL"} ${what}`);
  for (const problem of problems) console.log(`       ${problem}`);
}

const text = (path) => readFileSync(join(root, path), "utf8");

function dockerfileProblems(load) {
  const { validate } = load("dockerfile-utils");
  return validate(text("Dockerfile"), {}).map(
    ({ range, message }) => `Dockerfile:${range.start.line + 1} ${message}`,
  );
}

/** What the image promises and a person may undo without noticing. */
function imageProblems() {
  const last = text("Dockerfile")
    .split(/^FROM /m)
    .at(-1);
  const wanted = { "an unprivileged user": /^USER node$/m, "a health check": /^HEALTHCHECK /m };
  return Object.entries(wanted).flatMap(([what, pattern]) =>
    pattern.test(last) ? [] : [`the last stage of the Dockerfile has lost ${what}`],
  );
}

function composeProblems(yaml) {
  const { services } = yaml.parse(text("compose.yaml"));
  const problems = Object.entries(services).flatMap(([name, service]) => [
    ...Object.keys(service.depends_on ?? {})
      .filter((other) => services[other] === undefined)
      .map((other) => `${name} depends on ${other}, which is not there`),
    ...(service.image === undefined || /:.*\d/.test(service.image)
      ? []
      : [`${name}: ${service.image} names no version`]),
  ]);
  if (services.app.read_only !== true) problems.push("app may write outside its volume");
  if (services.mysql.healthcheck === undefined) problems.push("mysql has no health check");
  return problems;
}

function unitProblems() {
  const unit = join(root, "examples/deploy/systemd/skywork.service");
  const { error, stderr } = spawnSync("systemd-analyze", ["verify", unit], {
    encoding: "utf8",
  });
  if (error?.code === "ENOENT") {
    console.log("     systemd-analyze is not here: the unit is not verified");
    return [];
  }
  // A path of the target machine is no fault of the unit.
  const lines = stderr.split("\n").filter((line) => line.includes("skywork.service"));
  return lines.filter((line) => !/is not executable/.test(line));
}

function manifestProblems(file, load, yaml) {
  const manifest = yaml.parse(readFileSync(join(manifestFolder, file), "utf8"));
  // By file: the package's export map lacks some of its own versions (autoscaling/v2).
  const model = join(packages, "kubernetes-models", manifest.apiVersion, `${manifest.kind}.js`);
  try {
    const Model = load(model)[manifest.kind];
    new Model(manifest).validate();
    return [];
  } catch (error) {
    return [error.message];
  }
}

/** The schemas let unknown fields pass; TypeScript's excess property check finds a misspelled one. */
function misspelledFields(files, yaml) {
  const literals = files.map((file, index) => {
    const manifest = yaml.parse(readFileSync(join(manifestFolder, file), "utf8"));
    const types = join(packages, "kubernetes-models", manifest.apiVersion, manifest.kind);
    const body = JSON.stringify(manifest);
    return `export const _${index}: import("${types}").I${manifest.kind} =\n// ${file}\n${body};`;
  });
  const source = join(folder, "manifests.ts");
  writeFileSync(source, literals.join("\n"));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const options = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--module",
    "preserve",
    "--pretty",
    "false",
  ];
  const { status, stdout } = spawnSync(process.execPath, [tsc, ...options, source], {
    cwd: folder,
    encoding: "utf8",
  });
  return status === 0 ? [] : stdout.trim().split("\n");
}

/** The kustomization has to name every file, and only files that are there. */
function kustomizationProblems(files, yaml) {
  const { resources } = yaml.parse(
    readFileSync(join(manifestFolder, "kustomization.yaml"), "utf8"),
  );
  return [
    ...files.filter((file) => !resources.includes(file)).map((file) => `${file} is not listed`),
    ...resources.filter((file) => !files.includes(file)).map((file) => `${file} is not there`),
  ];
}

/** Replicas in the manifest of what is scaled would throw the scaler's number back at every apply. */
function scalerProblems(files, yaml) {
  const manifests = files.map((file) =>
    yaml.parse(readFileSync(join(manifestFolder, file), "utf8")),
  );
  const scaled = manifests.flatMap(({ spec }) => spec?.scaleTargetRef ?? []);
  return scaled.flatMap(({ kind, name }) => {
    const target = manifests.find((one) => one.kind === kind && one.metadata.name === name);
    if (target === undefined) return [`${kind} ${name} is not there to be scaled`];
    return target.spec.replicas === undefined ? [] : [`${kind} ${name} has replicas of its own`];
  });
}

try {
  const install = ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"];
  execFileSync("npm", [...install, "--prefix", folder, ...LINTERS], { stdio: "inherit" });
  const load = createRequire(join(folder, "package.json"));
  const yaml = load("yaml");
  check("Dockerfile", dockerfileProblems(load));
  check("the image: unprivileged, with a health check", imageProblems());
  check("compose.yaml", composeProblems(yaml));
  check("examples/deploy/systemd/skywork.service", unitProblems());
  const files = readdirSync(manifestFolder).filter((file) => file !== "kustomization.yaml");
  for (const file of files)
    check(`examples/deploy/kubernetes/${file}`, manifestProblems(file, load, yaml));
  check("no manifest has a field that is not there", misspelledFields(files, yaml));
  check("what the autoscaler scales has no replicas", scalerProblems(files, yaml));
  check("examples/deploy/kubernetes/kustomization.yaml", kustomizationProblems(files, yaml));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${tally.passed} passed, ${tally.failed} failed`);
process.exit(tally.failed === 0 ? 0 : 1);
