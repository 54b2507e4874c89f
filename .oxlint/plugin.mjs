// The house rules oxlint does not bring along, as one oxlint plugin.
import { relative, sep } from "node:path";
import { brokenLayer } from "./layers.mjs";

const pathOf = (context) => relative(context.cwd, context.filename).split(sep).join("/");

/** Every import and re-export against the table in layers.mjs. */
const layers = {
  create(context) {
    const file = pathOf(context);
    const check = (node, source, typeOnly, dynamic) => {
      if (typeof source?.value !== "string") return;
      const layer = brokenLayer(file, source.value, { typeOnly, dynamic });
      if (layer === undefined) return;
      context.report({
        node: source,
        message: `${layer.name}: "${source.value}" may not be imported here. ${layer.why}`,
      });
    };
    return {
      ImportDeclaration: (node) => check(node, node.source, node.importKind === "type", false),
      ExportNamedDeclaration: (node) => check(node, node.source, node.exportKind === "type", false),
      ExportAllDeclaration: (node) => check(node, node.source, node.exportKind === "type", false),
      ImportExpression: (node) => check(node, node.source, false, true),
      TSImportType: (node) => check(node, node.source ?? node.argument?.literal, true, false),
    };
  },
};

/** A file that only passes on what others export. */
const noBarrel = {
  create(context) {
    const file = pathOf(context);
    if (file === "shared/src/index.ts") return {};
    return {
      Program(program) {
        const onlyPassesOn =
          program.body.length > 0 &&
          program.body.every(
            (node) =>
              node.type === "ExportAllDeclaration" ||
              (node.type === "ExportNamedDeclaration" && node.source),
          );
        if (!onlyPassesOn && !/(^|\/)index\.ts$/.test(file)) return;
        context.report({
          node: program,
          message:
            "Import from the file that owns a thing: a barrel hides where it lives, invites import cycles and loads what nobody asked for. The one door is shared/src/index.ts, because that is a package.",
        });
      },
    };
  },
};

export default { meta: { name: "house" }, rules: { layers, "no-barrel": noBarrel } };
