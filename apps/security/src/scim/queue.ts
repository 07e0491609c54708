const ends = new Map<string, Promise<unknown>>();

/** Runs works of one name one after another on this node: those that take several transactions then do not meet. */
export async function oneAfterAnother<T>(name: string, work: () => Promise<T>): Promise<T> {
  const before = ends.get(name);
  const mine = (before ?? Promise.resolve()).then(work, work);
  ends.set(name, mine);
  try {
    return await mine;
  } finally {
    if (ends.get(name) === mine) ends.delete(name);
  }
}
