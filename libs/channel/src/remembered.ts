const MAX_KNOWN = 1_024;
/** Longer texts are no names that come with every message: they are looked at each time. */
const MAX_CHARACTERS = 128;

/**
 * Remembers what was found of a text: the same few names come with every message. Holds so many texts at most, and nothing of the
 * messages that they were cut out of.
 */
export function remembered<Found>(find: (text: string) => Found): (text: string) => Found {
  const known = new Map<string, Found>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const own = ` ${text}`.slice(1);
    const result = find(own);
    if (text.length > MAX_CHARACTERS) return result;
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(own, result);
    return result;
  };
}
