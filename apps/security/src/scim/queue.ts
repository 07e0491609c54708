/** Ends of the queues of each node, by name. */
const nodes = new WeakMap<object, Map<string, Promise<unknown>>>();

/** Runs works of one name one after another on a node: those that take several transactions then do not meet there. */
export async function oneAfterAnother<T>(node: object, name: string, work: () => Promise<T>): Promise<T> {
  const ends = nodes.get(node) ?? new Map<string, Promise<unknown>>();
  nodes.set(node, ends);
  const mine = (ends.get(name) ?? Promise.resolve()).then(work, work);
  ends.set(name, mine);
  try {
    return await mine;
  } finally {
    if (ends.get(name) === mine) ends.delete(name);
  }
}
