// The types of database-url.mjs.
/** `.env` of the working directory counts under what the environment has; blank counts as unset. */
export function databaseUrl(): string;
