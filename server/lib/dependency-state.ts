/** The state of one dependency, for /ready. `down`: this instance cannot do its work without it. */
export interface DependencyState {
  readonly status: "up" | "degraded" | "down";
  /** What is wrong: a sentence for the operator, without secrets. */
  readonly detail?: string;
  /** What to do about it. */
  readonly action?: string;
}
