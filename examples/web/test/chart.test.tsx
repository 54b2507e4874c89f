// The usage chart: a bar of the right height for each day, its text alternative, and no chart without usage.
import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";
import { type Day, UsageChart } from "../src/ui/chart.tsx";

function drawn(daily: readonly Day[]) {
  return renderToStaticMarkup(<UsageChart daily={daily} today="2026-11-26" />);
}

test("nothing used is said in words, without a chart at 0", () => {
  for (const daily of [[], [{ date: "2026-11-20", credits: 0 }]]) {
    expect(drawn(daily)).toContain("Nothing used yet");
    expect(drawn(daily)).not.toContain("<svg");
  }
});

test("what was used before the chart begins is no bar of it", () => {
  expect(drawn([{ date: "2026-10-01", credits: 12 }])).toContain("Nothing used yet");
});

test("every one of the 30 days has its place, and bars are as high as their share of the highest", () => {
  const markup = drawn([
    { date: "2026-11-25", credits: 10 },
    { date: "2026-11-26", credits: 20 },
  ]);
  expect(markup).toContain('aria-label="30 credits used in 30 days, at most 20 on one day."');
  const bars = [...markup.matchAll(/<rect class="bar( none)?"[^>]* height="([\d.]+)"/g)];
  expect(bars).toHaveLength(30);
  expect(bars.filter(([, none]) => none === undefined).map(([, , height]) => height)).toEqual([
    "61",
    "122",
  ]);
  expect(markup).toMatch(/<title>[^<]*26[^<]*: 20 credits<\/title>/);
});
