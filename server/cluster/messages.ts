// The messages between the parent and its workers. Node.js and prom-client send their own on the same channel.

/** The points at which stopping workers wait for one another, in this order. */
export type StopPhase = "quiet" | "closed";

/** From a worker. */
export type WorkerMessage =
  /** It received a signal and asks to be stopped. */
  | { readonly type: "skywork:may-stop" }
  | { readonly type: "skywork:arrived"; readonly at: StopPhase }
  | { readonly type: "skywork:ask-metrics"; readonly id: number };

/** To a worker. */
export type ParentMessage =
  | { readonly type: "skywork:stop" }
  /** Every stopping worker has arrived. */
  | { readonly type: "skywork:met"; readonly at: StopPhase }
  /** The text is null when some worker did not respond. */
  | { readonly type: "skywork:metrics"; readonly id: number; readonly text: string | null }
  | { readonly type: "skywork:workers"; readonly workers: WorkersState };

/** The state of the processes behind the port. */
export interface WorkersState {
  readonly wanted: number;
  readonly listening: number;
  /** True once all of them have listened. */
  readonly started: boolean;
}
