/** `camelCase` of the domain to `snake_case` of the database. */
export function toSnake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

const known = new Map<string, string>();

/** A quoted SQL identifier. Only names of our own code come here, so they are few. */
export function quoted(name: string): string {
  const made = known.get(name);
  if (made !== undefined) return made;
  if (!/^[a-zA-Z]+$/.test(name)) throw new TypeError('an identifier is letters only');
  const identifier = `"${toSnake(name)}"`;
  known.set(name, identifier);
  return identifier;
}
