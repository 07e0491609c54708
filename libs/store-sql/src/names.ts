/** `camelCase` of the domain to `snake_case` of the database. */
export function toSnake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A quoted SQL identifier. Only names of our own code come here. */
export function quoted(name: string): string {
  if (!/^[a-zA-Z]+$/.test(name)) throw new TypeError('an identifier is letters only');
  return `"${toSnake(name)}"`;
}
