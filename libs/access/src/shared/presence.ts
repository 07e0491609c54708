/** Where and when a session was last seen. */
export interface Sighting {
  readonly proxy: string;
  /** Epoch ms. */
  readonly at: number;
}

/** Who was seen where. For people to look at, never to decide by; all of it may vanish at any time. */
export interface Presence {
  /** Notes a sighting; never fails, at worst it is forgotten. */
  saw(sid: string, sighting: Sighting): void;
  /** Sightings of sessions, by session id; what is not known is left out. */
  find(sids: readonly string[]): Promise<ReadonlyMap<string, Sighting>>;
}

/** Presence in the memory of one node, of at most `maxSessions` sessions. */
export function memoryPresence(maxSessions = 100_000): Presence {
  const sightings = new Map<string, Sighting>();
  return {
    saw(sid, sighting) {
      sightings.delete(sid);
      sightings.set(sid, sighting);
      if (sightings.size > maxSessions) sightings.delete(sightings.keys().next().value!);
    },
    async find(sids) {
      return new Map(sids.flatMap((sid) => (sightings.has(sid) ? [[sid, sightings.get(sid)!] as const] : [])));
    },
  };
}
