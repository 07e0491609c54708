import { getServers } from 'node:dns';
import { Resolver } from 'node:dns/promises';
import type { Diagnosis, WaitLimits } from './diagnosis.ts';

/** Codes of c-ares for a server that says nothing. */
const SILENT = ['ETIMEOUT', 'ECONNREFUSED', 'ECANCELLED', 'EDESTRUCTION'];

/**
 * Asks each name server of this host for itself: where one of several is silent, names come late, and nobody says why.
 * @param name something that the farm needs; whatever is answered, it is answered
 */
export async function examineNameServers(
  name: string,
  { connectMs }: WaitLimits,
  servers: readonly string[] = [...new Set(getServers())],
): Promise<Diagnosis[]> {
  const answers = await Promise.all(servers.map((server) => doesAnswer(server, name, connectMs)));
  const anybody = answers.includes(true);
  return servers.map((server, i) => judgeServer(server, answers[i] === true, anybody));
}

function judgeServer(server: string, answers: boolean, anybody: boolean): Diagnosis {
  const subject = `this host → name servers ${server}`;
  if (answers) return { subject, check: 'dns', state: 'ok', words: 'answers' };
  const words = anybody ? 'is silent: each name that is asked of it comes late' : 'is silent';
  const next = 'open 53/udp and 53/tcp to it, or take it out of /etc/resolv.conf';
  return { subject, check: 'dns', state: 'warning', words, hop: 'the name server, or a firewall before it', next };
}

async function doesAnswer(server: string, name: string, timeout: number): Promise<boolean> {
  const resolver = new Resolver({ timeout, tries: 1 });
  try {
    resolver.setServers([server]);
    await resolver.resolve4(name);
    return true;
  } catch (error) {
    return !SILENT.includes((error as NodeJS.ErrnoException).code ?? '');
  } finally {
    resolver.cancel();
  }
}
