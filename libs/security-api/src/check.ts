import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

/** Compiles a schema to a parser that gives the typed value or undefined. */
export function parserOf<S extends TSchema>(schema: S): (value: unknown) => Static<S> | undefined {
  const compiled = Compile(schema);
  return (value) => (compiled.Check(value) ? (value as Static<S>) : undefined);
}

/** Parses JSON text to unknown; undefined when it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
