/** The body of /health: this process lives. It touches nothing. */
export function health() {
  return {
    success: true,
    message: "Skywork backend is alive.",
    timestamp: new Date().toISOString(),
  };
}
