// The types of database-url.mjs.
/** Returns DATABASE_URL from the environment, else from the working directory's `.env`, else the embedded database. */
export function databaseUrl(): string;
