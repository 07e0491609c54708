import type { Presence, Sighting } from '@sallyport/access';
import { redisKey } from './keys.ts';
import type { RedisLink } from './link.ts';

const KEEP_SECONDS = 86_400;
const AT_ONCE = 500;

/** Presence that all nodes share; forgotten a day after the last sighting. */
export function redisPresence(link: RedisLink, realm: string): Presence {
  const nameOf = (sid: string): string => redisKey(realm, 'seen', sid);
  return {
    saw(sid, sighting) {
      void link.attempt((client) => client.set(nameOf(sid), JSON.stringify(sighting), 'EX', KEEP_SECONDS));
    },
    async find(sids) {
      const found = new Map<string, Sighting>();
      for (let from = 0; from < sids.length; from += AT_ONCE) {
        const part = sids.slice(from, from + AT_ONCE);
        const texts = (await link.attempt((client) => client.mget(part.map(nameOf)))) ?? [];
        texts.forEach((text, i) => {
          if (text) found.set(part[i]!, JSON.parse(text) as Sighting);
        });
      }
      return found;
    },
  };
}
