export function page(result: unknown): string {
  return JSON.stringify(result);
}
