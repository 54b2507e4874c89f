// What /ready says of a database that cannot be used: anybody may ask, so it is the kind of trouble and nothing else.
import { expect, test } from "vitest";
import { summarizeMysqlError } from "../../server/database/mysql/explain.ts";

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
