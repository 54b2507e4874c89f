/** The state of one dependency, for /ready. */
export interface DependencyState {
  status: "up" | "degraded" | "down";
  /** A sentence for the operator, without secrets. */
  detail?: string;
}
