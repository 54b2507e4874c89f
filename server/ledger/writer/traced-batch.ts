// The span of a batch: in the trace of one of its operations, with a sign of it in the traces of the others.
import { inSpan, type Span, type Tracer } from "../../lib/tracer.ts";

/**
 * Runs `batch` under a span whose parent is the first sampled one of `spans`, those that its operations came under. Each
 * other trace gets a span of the same length that links to it, so that no trace has a gap.
 */
export function traceBatch(
  tracer: Tracer,
  spans: readonly (Span | undefined)[],
  batch: () => Promise<void>,
): Promise<void> {
  const distinct = [...new Set(spans)].filter((span) => span !== undefined);
  const sampled = distinct.filter(({ isSampled }) => isSampled);
  const parents = sampled.length > 0 ? sampled : distinct.slice(0, 1);
  const attributes = { operations: spans.length };
  return inSpan(tracer, ["ledger batch", { attributes, parents }], async (span) => {
    const signs = parents
      .slice(1)
      .map((other) => tracer.begin("ledger batch", { attributes, parents: [other, span] }));
    try {
      await batch();
    } finally {
      for (const sign of signs) sign.end();
    }
  });
}
