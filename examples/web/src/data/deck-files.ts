// A deck as a file: Markdown, or PowerPoint through a library that is loaded on demand.
import type { Deck } from "@skywork/shared";

/** Saves `content` under `name`. */
export function saveFile(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // Some browsers start reading only a moment after the click.
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The deck as Markdown: a heading per slide, its bullets, its notes as a quote. */
export function deckMarkdown({ title, slides }: Deck): string {
  const parts = slides.map(({ title: heading, bullets, notes }) =>
    [
      `## ${oneLine(heading)}`,
      bullets.map((bullet) => `- ${oneLine(bullet)}`).join("\n"),
      ...(notes === undefined || notes.trim() === "" ? [] : [notes.trim().replace(/^/gm, "> ")]),
    ].join("\n\n"),
  );
  return `${[`# ${oneLine(title)}`, ...parts].join("\n\n")}\n`;
}

const INK = "171C2C";
const ACCENT = "4F46E5";

/** The deck as a .pptx file, speaker notes included. */
export async function deckPptx({ title, slides }: Deck): Promise<Blob> {
  const { default: Pptx } = await import("pptxgenjs");
  const file = new Pptx();
  file.layout = "LAYOUT_WIDE";
  file.title = title;
  for (const [index, { title: heading, bullets, notes }] of slides.entries()) {
    const page = file.addSlide();
    const isCover = index === 0;
    page.background = { color: isCover ? ACCENT : "FFFFFF" };
    const ink = isCover ? "FFFFFF" : INK;
    page.addText(heading, {
      x: 0.7,
      y: isCover ? 1.9 : 0.45,
      w: 11.9,
      h: isCover ? 1.5 : 1,
      fontSize: isCover ? 44 : 32,
      bold: true,
      color: ink,
      fit: "shrink",
    });
    if (bullets.length > 0)
      page.addText(
        bullets.map((text) => ({ text, options: { bullet: !isCover, breakLine: true } })),
        {
          x: 0.7,
          y: isCover ? 3.5 : 1.65,
          w: 11.9,
          h: isCover ? 2 : 5,
          valign: "top",
          fontSize: 20,
          color: ink,
          paraSpaceAfter: 10,
          fit: "shrink",
        },
      );
    if (notes !== undefined && notes.trim() !== "") page.addNotes(notes);
  }
  return (await file.write({ outputType: "blob" })) as Blob;
}

/** A file name derived from the title: `quarterly-plan.pptx`. */
export function fileName({ title }: Pick<Deck, "title">, ending: string): string {
  const name = title
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number}]+/gu, "-")
    .replace(/^-|-$/g, "")
    .slice(0, 60);
  return `${name === "" ? "slides" : name}.${ending}`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}
