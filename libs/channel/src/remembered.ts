const MAX_KNOWN = 1_024;

/** Remembers what was found of a text: the same few names come with every message. Holds so many texts at most. */
export function remembered<Found>(find: (text: string) => Found): (text: string) => Found {
  const known = new Map<string, Found>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    if (known.size >= MAX_KNOWN) known.clear();
    const result = find(text);
    known.set(text, result);
    return result;
  };
}
