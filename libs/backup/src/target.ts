/** An object at a target. */
export interface TargetObject {
  readonly path: string;
  readonly bytes: number;
}

/**
 * Where exports are kept. Paths are names of letters, digits, `.`, `_` and `-` with `/` between, and no name begins with a dot;
 * anything else is a TypeError. What was written is never overwritten. Any number of callers at a time.
 */
export interface BackupTarget {
  /** Where it is, in words without secrets. */
  readonly description: string;
  /**
   * Writes a new object whole; when it returns the object is durable there, before that nobody sees it under this path. An error
   * of the content is thrown as it is.
   * @throws TargetError ERR_TARGET_EXISTS when there is one of this path, which stays as it is
   */
  put(path: string, content: AsyncIterable<Uint8Array>): Promise<void>;
  /** Its bytes from a place on, 0 unless given, as they come; whoever stops reading lets go of it. @throws TargetError ERR_TARGET_MISSING */
  get(path: string, from?: number): AsyncIterable<Uint8Array>;
  /** All whole objects below a folder, `''` for all there are, in order of their paths; none when there is no such folder. */
  list(folder: string): Promise<readonly TargetObject[]>;
  /** Afterwards there is no such object, whether there was one or not. */
  remove(path: string): Promise<void>;
  close(): Promise<void>;
}

const NAME = '[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}';
const PATH = new RegExp(`^${NAME}(?:/${NAME}){0,15}$`);

/** The path itself, when it is one. @throws TypeError otherwise: no path ever comes from outside unseen */
export function checkTargetPath(path: string): string {
  if (!PATH.test(path)) throw new TypeError(`${JSON.stringify(path)} is no path at a target`);
  return path;
}

/** Does something at a target. @throws the fault that a failure of it is */
export async function reaching<T>(work: () => Promise<T>, faultOf: (cause: unknown) => Promise<unknown>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw await faultOf(cause);
  }
}
