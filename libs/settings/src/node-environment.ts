import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';

/** What Node itself reads of its environment. */
export interface NodeEnvironment {
  /** Its options, apart by spaces. */
  readonly NODE_OPTIONS?: string;
  /** Folder of what it has compiled. */
  readonly NODE_COMPILE_CACHE?: string;
}

/** Has Node run a process of ours as it runs this one: with the options it was given, and what it has compiled is kept where ours is. */
export function nodeEnvironment(): NodeEnvironment {
  const options = process.env['NODE_OPTIONS'];
  const compiled = getCompileCacheDir();
  return {
    ...(options === undefined ? {} : { NODE_OPTIONS: options }),
    ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: dirname(compiled) }),
  };
}
