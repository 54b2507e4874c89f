// The types of derive.mjs.
/** Returns the SQLite schema derived from a MySQL schema's text. */
export function deriveSqliteSchema(source: string): string;
