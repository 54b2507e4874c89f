// The types of derive.mjs.
/** The SQLite schema that belongs to a MySQL schema's text. */
export function deriveSqliteSchema(source: string): string;
