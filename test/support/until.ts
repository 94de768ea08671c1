/** Waits for a condition, looking every turn of the event loop or so; fails after `msMax` with the condition's own text. */
export async function until(condition: () => boolean, msMax = 30_000): Promise<void> {
  const end = performance.now() + msMax;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within ${String(msMax)} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
