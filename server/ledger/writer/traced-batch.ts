// The span of a batch: it belongs to the trace of one of its operations, and the other traces get a span linking to it.
import { inSpan, type Span, type Tracer } from "../../lib/tracer.ts";

/**
 * Runs `batch` under a span. `spans` are those that were active when its operations were submitted: the first sampled
 * one becomes the parent, and each other sampled one gets a child of the same length that links to the batch, so that
 * no trace has a gap.
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
