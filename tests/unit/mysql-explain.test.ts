// How /ready describes an unusable database: the endpoint is public, so it reveals the kind of trouble and nothing
// else. Also: which kinds a starting server waits for.
import { expect, test } from "vitest";
import { parseMysqlUrl } from "../../server/database/mysql/options.ts";
import { isTransient, summarizeMysqlError } from "../../server/database/mysql/explain.ts";

const refusal = (errno: number, code: string, message: string) =>
  new Error("pool failed", { cause: Object.assign(new Error(message), { errno, code }) });

test.each([
  [
    refusal(1045, "ER_ACCESS_DENIED_ERROR", "Access denied for user 'app'@'10.0.0.5'"),
    "The database refuses our user with this password.",
  ],
  [
    refusal(1142, "ER_TABLEACCESS_DENIED_ERROR", "INSERT command denied to user 'app'@'10.0.0.5'"),
    "The database gives our user too few rights.",
  ],
  [
    refusal(1049, "ER_BAD_DB_ERROR", "Unknown database 'skywork'"),
    "The database server has no such database.",
  ],
  [
    refusal(1226, "ER_USER_LIMIT_REACHED", "User 'app' has exceeded 'max_user_connections'"),
    "The database server has no connection left.",
  ],
  [
    refusal(-111, "ECONNREFUSED", "connect ECONNREFUSED 10.0.0.5:3306\nsql: SELECT 1"),
    "The database does not answer (ECONNREFUSED).",
  ],
  [new Error("No answer from 10.0.0.5"), "The database does not answer."],
])("says the kind of %s, no host, user or statement", (error, summary) => {
  expect(summarizeMysqlError(error)).toBe(summary);
});

test.each([
  [-111, "ECONNREFUSED", true],
  [-3007, "ENOTFOUND", true],
  [45012, "ER_CONNECTION_TIMEOUT", true],
  [1040, "ER_CON_COUNT_ERROR", true],
  [1047, "ER_UNKNOWN_COM_ERROR", true],
  [1044, "ER_DBACCESS_DENIED_ERROR", false],
  [1045, "ER_ACCESS_DENIED_ERROR", false],
  [1698, "ER_ACCESS_DENIED_NO_PASSWORD_ERROR", false],
  [1049, "ER_BAD_DB_ERROR", false],
  [1064, "ER_PARSE_ERROR", false],
  [3159, "ER_SECURE_TRANSPORT_REQUIRED", false],
  [45056, "ER_SELF_SIGNED", false],
  [0, "CERT_HAS_EXPIRED", false],
])("a start that fails with %s %s may wait for it: %s", (errno, code, expected) => {
  const cause = Object.assign(new Error(code), { errno, code, fatal: errno !== 1064 });
  const error = new Error("The database cannot be used", { cause });
  expect(isTransient(parseMysqlUrl("mysql://app@10.0.0.5/skywork"), error)).toBe(expected);
});
